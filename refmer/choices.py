"""One check and one message for every switch."""


def choose(name, value, accepted):
    """Return `accepted[value]`, or `value` itself where `accepted` is no mapping.

    Raises
    ------
    ValueError
        If the value is not accepted; the message names the accepted values.
    """
    if value not in tuple(accepted):
        raise ValueError(f"{name} is {value!r}; accepted: {', '.join(map(repr, accepted))}")
    return accepted[value] if isinstance(accepted, dict) else value
