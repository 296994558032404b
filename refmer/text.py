"""Tables as text."""


def table(head, rows, right=(), markdown=True):
    """Return the rows (sequences of str) under their head: a Markdown table, or columns without rules.

    Parameters
    ----------
    head : sequence of str
    rows : list of sequences of str
    right : container of int
        Columns that are flush right.
    markdown : bool
    """
    rows = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        [cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(r, widths, strict=True))]
        for r in rows
    ]
    if not markdown:
        return "\n".join("  ".join(line).rstrip() for line in lines)
    head, *body = ("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join([head, "|" + "|".join("-" * (w + 2) for w in widths) + "|", *body])
