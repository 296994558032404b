# %% [markdown]
# # Exercise 10. Recurrence and convolution in time
#
# Write an LSTM that knows padding, its backward through time, and a causal dilated convolution with its backward. Replace
# every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 10_recurrence_and_convolution.py
#
# The equations are derived in tutorial 10, "Recurrence and convolution in time". Sizes: $B$ clips, $T$ steps, $D$ numbers of a
# step, $H$ numbers of a state; $K$ taps, $C$ numbers in and $E$ numbers out of the convolution.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# The LSTM has two states $h_t$ and $c_t$, both 0 before the first step. All its maps at once give $4H$ numbers, in four blocks
# of $H$ in the order $i, f, g, o$:
#
# $$u_t = x_t W + b + h_{t-1} U, \qquad i_t = \sigma(u^i_t), \quad f_t = \sigma(u^f_t), \quad g_t = \tanh u^g_t, \quad
#   o_t = \sigma(u^o_t),$$
#
# $$c_t = f_t\, c_{t-1} + i_t\, g_t, \qquad h_t = o_t \tanh c_t, \qquad \sigma(u) = \frac{1}{1 + e^{-u}} .$$
#
# A padded step (`mask` is `False`) keeps both states, $c_t = c_{t-1}$ and $h_t = h_{t-1}$, and its output $y_t$ is 0. At a
# valid step $y_t = h_t$. The arrays `c` and `h` have $T + 1$ steps: `h[:, t]` is the state before step $t$, `h[:, t + 1]` the
# one after it.
#
# The convolution has taps $\delta$ steps apart (the dilation), the last of them now; $x$ is 0 before step 0:
#
# $$y_{bte} = \beta_e + \sum_{j=0}^{K-1} \sum_c x_{b,\,t - \delta(K-1-j),\,c}\, W_{jce} .$$


# %%
def our_lstm(x, W, U, b, mask):
    """Return the gates, the states c and h, and the output y. A padded step keeps both
    states, and its y is 0.

    x (B, T, D), W (D, 4H), U (H, 4H), b (4H,), mask (B, T), True where a step is valid
    -> gates (B, T, 4H), i, f, g, o after their activations (at padded steps, too), computed
    from the state before the step; c, h (B, T + 1, H), at 0 of axis 1 the start, which is
    0, and at t + 1 the state after step t; y (B, T, H)
    """
    ...


def our_conv(x, W, beta, dilation):
    """Return y, of as many steps as x: output t sees steps up to t only. Before step 0, x
    is 0. Tap W[-1] is of step t itself.

    x (B, T, C), W (K, C, E), beta (E,), dilation a whole number from 1 -> y (B, T, E)
    """
    ...


# %% [markdown]
# ## By hand
#
# Two clips of one step, $H = 1$, $x = 1$, $U = 0$, $b = 0$; the second clip's step is padding. $W$ is such that
# $i = f = o = 3/4$ ($\sigma(\ln 3) = 3/4$) and $g = 0.8$ ($\tanh(\ln 3) = 0.8$). So $c = 0.6$ and $y = 0.75 \tanh 0.6$.
#
#     >>> x, W, U, b = np.ones((2, 1, 1)), np.full((1, 4), np.log(3)), np.zeros((1, 4)), np.zeros(4)
#     >>> mask = np.array([[True], [False]])
#     >>> gates, c, h, y = our_lstm(x, W, U, b, mask)
#     >>> gates[0, 0].round(6).tolist(), c[:, 1, 0].round(6).tolist(), y[:, 0, 0].round(4).tolist()
#     ([0.75, 0.75, 0.8, 0.75], [0.6, 0.0], [0.4028, 0.0])
#
# Backward for $dy = 1$: $dc = o\,(1 - \tanh^2 0.6) = 0.5337$, and $du^g = dc\, i\, (1 - g^2) = 0.5337 \cdot 0.75 \cdot 0.36$.
# To $c$ before the step comes $dc\, f$. The padded step gives no $du$, and its $dy$ goes nowhere.
#
#     >>> dh, dc, du, dx, dW, dU, db = our_lstm_backward(np.ones((2, 1, 1)), x, W, U, mask, gates, c, h)
#     >>> dc[0, :, 0].round(4).tolist(), du[:, 0].round(4).tolist()
#     ([0.4003, 0.5337], [[0.0801, 0.0, 0.1441, 0.1007], [0.0, 0.0, 0.0, 0.0]])
#
# A convolution of two taps, two steps apart: $y_t = 10\, x_{t-2} + x_t$. An input is in the output now and in two steps.
#
#     >>> x, W = np.array([[[1.0], [2.0], [3.0]]]), np.array([[[10.0]], [[1.0]]])
#     >>> our_conv(x, W, np.zeros(1), 2).ravel().tolist()
#     [1.0, 2.0, 13.0]
#     >>> dx, dW, dbeta = our_conv_backward(np.array([[[1.0], [1.0], [5.0]]]), x, W, 2)
#     >>> dx.ravel().tolist(), dW.ravel().tolist(), dbeta.tolist()
#     ([51.0, 1.0, 5.0], [5.0, 18.0], [7.0])
#
# ## Backward
#
# Go from the last step to the first. $h_t$ is used twice: it is the output, and it is in $u_{t+1}$. $c_t$ is used twice: in
# $h_t$ and in $c_{t+1}$. The stages are `dh` and `dc`, the whole gradients of the states (with as many steps as `h` and `c`:
# that of the start is asked for, too), and `du`, that of the four blocks before their activations. $W$, $U$ and $b$ serve
# every step of every clip. Begin with arrays of zeros and let each step add to those of the state before it.


# %%
def our_lstm_backward(dy, x, W, U, mask, gates, c, h):
    """Return the gradients of the states h and c, of the gates before their activations, u,
    and of x, W, U and b.

    dy (B, T, H), the others as in our_lstm
    -> dh, dc (B, T + 1, H), everything that reaches a state, at 0 of axis 1 the start;
    du (B, T, 4H), 0 at padded steps; dx (B, T, D), dW (D, 4H), dU (H, 4H), db (4H,)
    """
    ...


def our_conv_backward(dy, x, W, dilation):
    """Return the gradients of x, W and beta.

    dy (B, T, E), the others as in our_conv -> dx (B, T, C), dW (K, C, E), dbeta (E,)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * Padding may be anywhere: at the end, at the start, between valid steps; a clip may be padding altogether. A padded step
#   passes what it gets from later steps to the state before it as it is, and ignores `dy`. There `du` and `dx` are 0.
# * In the padding `x` may hold anything, such as 9 or 100: no gradient of a weight may notice.
# * A sequence of one step: what is `dU`, when the start is 0?
# * A convolution whose first taps all lie before step 0, because the sequence is shorter than $\delta(K-1)$: their `dW` is 0.
