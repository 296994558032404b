"""From refmer's docstrings, which are plain text with equations and numpydoc sections, to reST.

Prose becomes prose whatever is in it (`**options`, x_t, |x|); equations and shapes stay in monospaced short lines; sections are
left to napoleon, their texts made safe.
"""

import re
from itertools import pairwise

EQUATION = re.compile(r"[^.:]{0,24} = |.* -> ")
SHAPES = re.compile(r"(?!.* (is|are|or) .*\()[a-z]\w*(,? [a-z]\w*){0,3} \([A-Z.]")  # "x (B, T, C)", "target y (B, K)"
ITEM = re.compile(r"(- |\d+\. )")
LONGEST = 84  # of a line of an equation


def rest(lines, equations=False):
    """reST of a docstring. equations: a paragraph that is one is set as one."""
    rules = [i for i, line in enumerate(lines) if re.fullmatch(r"-{3,}", line.strip()) and i > 0]
    start = rules[0] - 1 if rules else len(lines)
    out = []
    for i, block in enumerate(blocks(lines[:start])):
        out += paragraph(block, equations, first=i == 0) + [""]
    for rule, following in pairwise([*rules, len(lines) + 1]):
        out += section(lines[rule - 1].strip(), lines[rule + 1 : following - 1])
    return out


def blocks(lines):
    """Runs of lines without an empty one; a list begins one of its own."""
    block, found = [], []
    for line in [*lines, ""]:
        begins_list = line.startswith("- ") and block and not ITEM.match(block[0])
        if block and (not line.strip() or begins_list):
            found.append(block)
            block = []
        if line.strip():
            block.append(line.rstrip())
    return found


def paragraph(block, equations=False, first=False, indent=""):
    text = " ".join(line.strip() for line in block)
    bare = re.sub(r"`[^`]*`", "", text)
    if all(line.startswith("    ") for line in block):
        found = [".. code-block:: text", "", *(f"   {line[4:]}" for line in block)]
    elif ITEM.match(block[0]):
        found = items(block)
    elif equations and (first and EQUATION.match(bare) or SHAPES.match(bare) or not first and re.match(r".* -> \(", bare)):
        found = [".. code-block:: text", "   :class: equation", "", *(f"   {line}" for line in equation(block))]
    else:
        found = [f"\\ {inline(text)}"]
    return [indent + line for line in found]


def items(block):
    out = []
    for line in block:
        if ITEM.match(line):
            out.append(line)
        else:
            out[-1] += " " + line.strip()
    marks = [ITEM.match(line).group() for line in out]
    return [mark + inline(line[len(mark) :]) for mark, line in zip(marks, out, strict=True)]


def equation(block):
    """Short lines: as written where a line ends in a stop, cut at wide gaps, and at stops where still too long."""
    lines = []
    for line in block:
        if lines and not lines[-1].endswith((";", ".", ":")):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line.strip())
    lines = [part for line in lines for part in re.split(r" {3,}", line)]
    return [part.replace("`", "") for line in lines for part in (cut(line) if len(line) > LONGEST else [line])]


def cut(line):
    """At stops that are in no bracket and end no abbreviation, as few as needed."""
    parts, depth, begin = [], 0, 0
    for i, letter in enumerate(line):
        depth += (letter in "([{") - (letter in ")]}")
        abbreviation = re.search(r"(\bet al|\beq|\bi\.e|\be\.g)\.$", line[: i + 1])
        if depth == 0 and line[i : i + 2] in ("; ", ". ") and not abbreviation:
            parts.append(line[begin : i + 1].strip())
            begin = i + 2
    parts.append(line[begin:].strip())
    out = [parts[0]]
    for part in parts[1:]:
        if len(out[-1]) + len(part) < LONGEST:
            out[-1] += " " + part
        else:
            out.append(part)
    return out


def section(title, lines):
    """A numpydoc section: headers `name : type` keep their names, everything else is made safe."""
    out = [title, "-" * len(title)]
    description = []

    def finish():
        for i, block in enumerate(blocks(description)):
            out.extend([""] * (i > 0) + paragraph(block, indent="    "))
        description.clear()

    for line in lines:
        if line[:1].strip():  # not indented: a header
            finish()
            names, colon, kind = line.partition(" : ")
            named = title in ("Parameters", "Attributes", "Raises", "Other Parameters")
            out.append((names if colon or named else inline(names)) + colon + inline(kind))
        else:
            description.append(line[4:])
    finish()
    return [*out, ""]


def inline(text):
    """Code in backticks becomes literal; nothing else is markup."""
    parts = re.split(r"`([^`]+)`", text)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([\\*_|`])", r"\\\1", parts[i])
    for i in range(1, len(parts), 2):
        parts[i] = f"\\ ``{parts[i]}``\\ "
    return "".join(parts).strip() if len(parts) == 1 else "".join(parts).removesuffix("\\ ").removeprefix("\\ ")
