"""An independent solution of exercise 17, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_softmax(s):
    top = s.max(axis=1)[:, None]
    # mistake[overflow]: top = 0
    e = np.exp(s - top)
    return e / np.einsum("ts->t", e)[:, None]
    # mistake[columns]: return e / np.einsum("ts->s", e)


def our_tlab(h, tau, Wq, Wk, Wv):
    q, k, v = np.einsum("tc,cd->td", h, Wq), np.einsum("tc,cd->td", tau, Wk), np.einsum("tc,cd->td", tau, Wv)
    root = np.sqrt(Wq.shape[1])
    # mistake[no scale]: root = 1
    G = our_softmax(np.einsum("td,sd->ts", q, k) / root)
    A = our_softmax(np.einsum("td,sd->ts", k, q) / root)
    # mistake[columns of S]: A = our_softmax(np.einsum("td,sd->ts", k, q) / root).T
    # mistake[twice global]: A = our_softmax(np.einsum("td,sd->ts", q, k) / root)
    m = np.einsum("ts,sd->td", A, v)
    # mistake[other order]: m = np.einsum("ts,sd->td", G, v)
    y = np.einsum("ts,sd->td", G, m)
    # mistake[other order]: y = np.einsum("ts,sd->td", A, m)
    return q, k, v, G, A, m, y


def through(a, da):
    """The gradient of the scores of a softmax in rows."""
    return np.stack([(np.diag(row) - np.outer(row, row)) @ d for row, d in zip(a, da, strict=True)])


def our_tlab_backward(dy, h, tau, Wq, Wk, Wv, q, k, v, G, A, m):
    root = np.sqrt(Wq.shape[1])
    dm = np.einsum("ts,td->sd", G, dy)
    # mistake[G not turned]: dm = np.einsum("ts,sd->td", G, dy)
    dv = np.einsum("ts,td->sd", A, dm)
    # mistake[dv of G]: dv = np.einsum("ts,td->sd", G, dm)
    dG, dA = np.einsum("td,sd->ts", dy, m), np.einsum("td,sd->ts", dm, v)
    of_G, of_A = through(G, dG), through(A, dA).T
    # mistake[global only]: of_G, of_A = through(G, dG), 0
    # mistake[local only]: of_G, of_A = 0, through(A, dA).T
    # mistake[local not turned]: of_G, of_A = through(G, dG), through(A, dA)
    # mistake[inner sum of G]: of_G, of_A = G * dG, through(A, dA).T
    # mistake[inner sum of A]: of_G, of_A = through(G, dG), (A * dA).T
    dS = of_G + of_A
    dq, dk = np.einsum("ts,sd->td", dS, k) / root, np.einsum("ts,td->sd", dS, q) / root
    # mistake[dk scale]: dq, dk = np.einsum("ts,sd->td", dS, k) / root, np.einsum("ts,td->sd", dS, q)
    # mistake[dk not turned]: dq, dk = np.einsum("ts,sd->td", dS, k) / root, np.einsum("ts,sd->td", dS, q) / root
    uses = [(dk, Wk), (dv, Wv)]
    # mistake[keys only]: uses = [(dk, Wk)]
    # mistake[values only]: uses = [(dv, Wv)]
    dtau = sum(np.einsum("td,cd->tc", d, W) for d, W in uses)
    dh = np.einsum("td,cd->tc", dq, Wq)
    return dm, dv, dS, dq, dk, dh, dtau, *(np.einsum("tc,td->cd", x, d) for x, d in ((h, dq), (tau, dk), (tau, dv)))


def stages_of_our_tlab_backward(dy, h, tau, Wq, Wk, Wv, q, k, v, G, A, m):
    def softmax(s):
        e = np.exp(s)
        return e / e.sum(1)[:, None]

    def of_S(S, v=v):
        return softmax(S) @ (softmax(S.T) @ v)

    def of_qkv(q=q, k=k, v=v):
        return of_S(q @ k.T / np.sqrt(q.shape[1]), v)

    def whole(h=h, tau=tau, Wq=Wq, Wk=Wk, Wv=Wv):
        return of_qkv(h @ Wq, tau @ Wk, tau @ Wv)

    inner = {
        "dm": (m, lambda m: G @ m),
        "dv": (v, lambda v: of_qkv(v=v)),
        "dS": (q @ k.T / np.sqrt(q.shape[1]), of_S),
        "dq": (q, lambda q: of_qkv(q=q)),
        "dk": (k, lambda k: of_qkv(k=k)),
    }
    values = {"h": h, "tau": tau, "Wq": Wq, "Wk": Wk, "Wv": Wv}
    return inner | {f"d{name}": (value, lambda x, name=name: whole(**{name: x})) for name, value in values.items()}


def our_avga(f, a, Uf, bf, Ua, ba, Mf, Ma, w, Wo, bo):
    R, Q = np.einsum("tnv,vc->tnc", f, Uf) + bf, np.einsum("tc,cd->td", a, Ua) + ba
    # mistake[no bias]: R, Q = np.einsum("tnv,vc->tnc", f, Uf), np.einsum("tc,cd->td", a, Ua) + ba
    R, Q = R * (R > 0), Q * (Q > 0)
    # mistake[no ReLU]: R = R * (R > 0)
    of_sound = np.einsum("tc,ce->te", Q, Ma)
    # mistake[scores of the face alone]: of_sound = np.zeros((len(a), len(w)))
    e = np.tanh(np.stack([R[:, n] @ Mf + of_sound for n in range(f.shape[1])], 1))
    z = np.einsum("tne,e->tn", e, w)
    alpha = our_softmax(z)
    # mistake[softmax over steps]: alpha = our_softmax(z.T).T
    c = np.einsum("tn,tnv->tv", alpha, f)
    return R, Q, e, alpha, c, np.einsum("tv,vc->tc", c, Wo) + bo


def our_avga_backward(dy, f, Uf, Ua, Mf, Ma, w, Wo, R, Q, e, alpha):
    dc = np.einsum("tc,vc->tv", dy, Wo)
    dalpha = np.einsum("tnv,tv->tn", f, dc)
    dz = through(alpha, dalpha)
    # mistake[inner sum of alpha]: dz = alpha * dalpha
    deta = np.einsum("tn,e,tne->tne", dz, w, 1 - e**2)
    # mistake[tanh of e]: deta = np.einsum("tn,e->tne", dz, w)
    dR = np.einsum("tne,ce->tnc", deta, Mf)
    dQ = np.einsum("tne,ce->tc", deta, Ma)
    # mistake[first position]: dQ = np.einsum("te,ce->tc", deta[:, 0], Ma)
    open_R, open_Q = R > 0, Q > 0
    # mistake[ReLU of R open]: open_R, open_Q = np.ones(R.shape), Q > 0
    # mistake[ReLU of Q open]: open_R, open_Q = R > 0, np.ones(Q.shape)
    uses = [np.einsum("tn,tv->tnv", alpha, dc), np.einsum("tnc,vc->tnv", dR * open_R, Uf)]
    # mistake[average only]: uses = [np.einsum("tn,tv->tnv", alpha, dc)]
    # mistake[scores only]: uses = [np.einsum("tnc,vc->tnv", dR * open_R, Uf)]
    da = np.einsum("td,cd->tc", dQ * open_Q, Ua)
    return dc, dalpha, dz, deta, dR, dQ, sum(uses), da, np.einsum("tc,tne->ce", Q, deta)


def stages_of_our_avga_backward(dy, f, Uf, Ua, Mf, Ma, w, Wo, R, Q, e, alpha):
    keep_R, keep_Q = R > 0, Q > 0
    z = e @ w

    def of_alpha(alpha, f=f):
        return np.einsum("tn,tnv->tv", alpha, f) @ Wo

    def of_z(z, f=f):
        p = np.exp(z)
        return of_alpha(p / p.sum(1)[:, None], f)

    def of_eta(eta, f=f):
        return of_z(np.tanh(eta) @ w, f)

    def of_RQ(R=R, Q=Q, Ma=Ma, f=f):
        return of_eta(R @ Mf + (Q @ Ma)[:, None], f)

    def of_f(f_new):
        return of_RQ(R=R + (f_new - f) @ Uf * keep_R, f=f_new)  # R is linear in f where it is open

    return {
        "dc": ((alpha[:, None] @ f)[:, 0], lambda c: c @ Wo),
        "dalpha": (alpha, of_alpha),
        "dz": (z, of_z),
        "deta": (R @ Mf + (Q @ Ma)[:, None], of_eta),
        "dR": (R, lambda R: of_RQ(R=R)),
        "dQ": (Q, lambda Q: of_RQ(Q=Q)),
        "df": (f, of_f),
        "da": (np.zeros((len(Q), len(Ua))), lambda change: of_RQ(Q=Q + change @ Ua * keep_Q)),
        "dMa": (Ma, lambda Ma: of_RQ(Ma=Ma)),
    }


def our_update(x, J, WJ, W, WK, WH):
    u = np.einsum("tc,ts->cs", x, WJ)
    root = np.sqrt(J.shape[1])
    # mistake[root of C]: root = np.sqrt(x.shape[1])
    N = np.einsum("cs,sd->cd", u, J) / root
    K = (np.exp(N) - np.exp(-N)) / (np.exp(N) + np.exp(-N))
    # mistake[no tanh]: K = N
    P = np.einsum("tc,te->ce", x, W) + np.einsum("cd,de->ce", K, WK)
    H = P * (P > 0)
    y = np.einsum("ce,et->tc", H, WH) + x
    # mistake[no residual]: y = np.einsum("ce,et->tc", H, WH)
    return u, K, H, y


def our_update_backward(dy, x, J, WJ, W, WK, WH, u, K, H):
    dH = np.einsum("tc,et->ce", dy, WH)
    dP = dH * (H > 0)
    # mistake[relu back]: dP = dH.copy()
    dK = np.einsum("ce,de->cd", dP, WK)
    root = np.sqrt(J.shape[1])
    # mistake[dN scale]: root = 1
    dN = (dK - dK * K**2) / root
    # mistake[tanh back]: dN = dK / root
    du = np.einsum("cd,sd->cs", dN, J)
    uses = [dy, np.einsum("cs,ts->tc", du, WJ), np.einsum("ce,te->tc", dP, W)]
    # mistake[residual cut]: uses = [np.einsum("cs,ts->tc", du, WJ), np.einsum("ce,te->tc", dP, W)]
    # mistake[correlation cut]: uses = [dy, np.einsum("ce,te->tc", dP, W)]
    # mistake[time cut]: uses = [dy, np.einsum("cs,ts->tc", du, WJ)]
    dJ = np.einsum("cs,cd->sd", u, dN)
    of_maps = [np.einsum("tc,cs->ts", x, du), np.einsum("tc,ce->te", x, dP), np.einsum("cd,ce->de", K, dP)]
    return dH, dP, dK, dN, du, sum(uses), dJ, *of_maps, np.einsum("ce,tc->et", H, dy)


def stages_of_our_update_backward(dy, x, J, WJ, W, WK, WH, u, K, H):
    root, P = np.sqrt(J.shape[1]), x.T @ W + K @ WK
    keep = P > 0

    def of_P(P, x=x, WH=WH):
        return (P * keep @ WH).T + x

    def of_K(K, x=x, W=W, WK=WK):
        return of_P(x.T @ W + K @ WK, x)

    def whole(x=x, J=J, WJ=WJ, W=W, WK=WK):
        return of_K(np.tanh(x.T @ WJ @ J / root), x, W, WK)

    values = {"x": x, "J": J, "WJ": WJ, "W": W, "WK": WK}
    return {
        "dH": (H, lambda H: (H @ WH).T + x),
        "dP": (P, of_P),
        "dK": (K, of_K),
        "dN": (u @ J, lambda N: of_K(np.tanh(N / root))),
        "du": (u, lambda u: of_K(np.tanh(u @ J / root))),
        "dWH": (WH, lambda WH: (H @ WH).T + x),
    } | {f"d{name}": (value, lambda m, name=name: whole(**{name: m})) for name, value in values.items()}


def our_joint_backward(dy_a, dy_v, a, v, WJ_a, W_a, WK_a, WH_a, WJ_v, W_v, WK_v, WH_v):
    C, J = a.shape[1], np.hstack([a, v])
    of_a, of_v = (WJ_a, W_a, WK_a, WH_a), (WJ_v, W_v, WK_v, WH_v)
    first = our_update_backward(dy_a, a, J, *of_a, *our_update(a, J, *of_a)[:3])
    # mistake[J of new a]: first = our_update_backward(dy_a, a, J, *of_a, *our_update(a, J, *of_a)[:3]); J = np.hstack([our_update(a, J, *of_a)[3], v])  # noqa: E501
    second = our_update_backward(dy_v, v, J, *of_v, *our_update(v, J, *of_v)[:3])
    dJ = first[6] + second[6]
    # mistake[one J]: dJ = first[6]
    da, dv = first[5] + dJ[:, :C], second[5] + dJ[:, C:]
    # mistake[halves swapped]: da, dv = first[5] + dJ[:, C:], second[5] + dJ[:, C:]
    # mistake[both halves swapped]: da, dv = first[5] + dJ[:, C:], second[5] + dJ[:, :C]
    # mistake[J fixed]: da, dv = first[5] + dJ[:, :C], second[5]
    return dJ, da, dv


def stages_of_our_joint_backward(dy_a, dy_v, a, v, WJ_a, W_a, WK_a, WH_a, WJ_v, W_v, WK_v, WH_v):
    root, J = np.sqrt(2 * a.shape[1]), np.hstack([a, v])

    def update(x, J, WJ, W, WK, WH):
        P = x.T @ W + np.tanh(x.T @ WJ @ J / root) @ WK
        return (P * (P.real > 0) @ WH).T + x

    def both(a=a, v=v, J=None):
        J = np.concatenate([a, v], 1) if J is None else J
        return update(a, J, WJ_a, W_a, WK_a, WH_a), update(v, J, WJ_v, W_v, WK_v, WH_v)

    return {"dJ": (J, lambda J: both(J=J)), "da": (a, lambda a: both(a=a)), "dv": (v, lambda v: both(v=v))}
