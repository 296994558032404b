"""Tables of calls and the messages of their errors."""

from inspect import signature

import pytest


def errors(*rows, error=ValueError):
    """Return the test of rows (call, *arguments, message): each call raises the error with that message.

    The parameters of a call without arguments are names of fixtures.
    """

    @pytest.mark.parametrize("row", rows, ids=[row[-1] for row in rows])
    def test(row, request):
        call, *arguments, message = row
        arguments = arguments or [request.getfixturevalue(name) for name in signature(call).parameters]
        with pytest.raises(error, match=message):
            call(*arguments)

    return test
