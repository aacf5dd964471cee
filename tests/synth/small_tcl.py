"""Enough of Tcl to run the scripts of projects to their end, for stand-ins on machines that have no tclsh."""

import glob
import os
import re

_ESCAPES = {"n": "\n", "t": "\t"}
_TOKEN = re.compile(r"\s*(\$\{[^}]*\}|\$[\w:]+|\[|\"[^\"]*\"|\{[^}]*\}|&&|\|\||[=!<>]=|[!<>()]|[^\s\[\"{}()!<>=&|$]+)")


class TclError(Exception):
    """A command failed."""


class Exit(Exception):
    """The script ends its program, with this status."""


class Return(Exception):
    """The script ends a procedure or a file."""


class Tcl:
    """An interpreter. `commands`: name -> function of a list of words, which gives a word."""

    def __init__(self, commands, say=print):
        self.frames = [{}]
        self.procedures = {}
        self.scripts = []
        self.streams = {}
        self.say = say
        own = {name[4:]: getattr(self, name) for name in dir(self) if name.startswith("tcl_")}
        self.commands = {**own, "variable": own["set"], **commands}

    def source(self, path):
        try:
            with open(path, encoding="utf-8") as stream:
                text = stream.read()
        except OSError:
            raise TclError(f'couldn\'t read file "{path}": no such file or directory') from None
        self.scripts.append(path)
        try:
            return self.run(text)
        except Return:
            return ""
        finally:
            self.scripts.pop()

    def run(self, text):
        result, at = "", 0
        while at < len(text):
            words, at = self._command(text, at)
            if words:
                result = self.call(words)
        return result

    def call(self, words):
        name, *rest = words
        if name in self.procedures:
            names, body = self.procedures[name]
            self.frames.append(dict(zip(names, rest)))
            try:
                return self.run(body)
            except Return as done:
                return done.args[0]
            finally:
                self.frames.pop()
        if name not in self.commands:
            raise TclError(f'invalid command name "{name}"')
        result = self.commands[name](rest)
        return "" if result is None else str(result)

    # reading

    def _command(self, text, at):
        """The words of the command that begins at a place, substituted, and where it ends."""
        words = []
        while at < len(text):
            if text.startswith("\\\n", at):
                at += 2
            elif text[at] in " \t":
                at += 1
            elif text[at] in "\n;":
                return words, at + 1
            elif text[at] == "#" and not words:
                at = text.find("\n", at) % (len(text) + 1)
            else:
                word, at = self._word(text, at)
                words.append(word)
        return words, at

    def _word(self, text, at):
        if text[at] == "{":
            end = _closing(text, at, "{", "}")
            return text[at + 1 : end], end + 1
        if text[at] == '"':
            end = at + 1
            while text[end] != '"':
                end = _closing(text, end, "[", "]") + 1 if text[end] == "[" else end + (2 if text[end] == "\\" else 1)
            return self.substitute(text[at + 1 : end]), end + 1
        end = at
        while end < len(text) and text[end] not in " \t\n;":
            end = _closing(text, end, "[", "]") + 1 if text[end] == "[" else end + (2 if text[end] == "\\" else 1)
        return self.substitute(text[at:end]), end

    def substitute(self, text):
        parts, at = [], 0
        while at < len(text):
            name = re.compile(r"\$(?:\{([^}]*)\}|([\w:]+))").match(text, at)
            if text[at] == "\\":
                parts.append(_ESCAPES.get(text[at + 1], text[at + 1]))
                at += 2
            elif text[at] == "[":
                end = _closing(text, at, "[", "]")
                parts.append(self.run(text[at + 1 : end]))
                at = end + 1
            elif name:
                parts.append(self.value(name.group(1) or name.group(2)))
                at = name.end()
            else:
                parts.append(text[at])
                at += 1
        return "".join(parts)

    def value(self, name):
        frame = self.frames[0] if name.startswith("::") else self.frames[-1]
        if name.removeprefix("::") not in frame:
            raise TclError(f'can\'t read "{name}": no such variable')
        return frame[name.removeprefix("::")]

    def true(self, text):
        """Whether an expression of comparisons holds."""
        words, at = [], 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            word, at = found.group(1), found.end()
            if word == "[":
                end = _closing(text, at - 1, "[", "]")
                word, at = repr(self.run(text[at:end])), end + 1
            elif word in ("&&", "||", "!"):
                word = {"&&": " and ", "||": " or ", "!": " not "}[word]
            elif word in ("eq", "ne"):
                word = {"eq": "==", "ne": "!="}[word]
            elif word not in ("(", ")", "==", "!=", "<", ">", "<=", ">="):
                word = repr(self.substitute(word[1:-1] if word[0] in '"{' else word))
            words.append(word)
        return _holds(words)

    # commands

    def tcl_set(self, words):
        if len(words) == 1:
            return self.frames[-1].get(words[0], "")
        self.frames[-1][words[0].removeprefix("::")] = words[1]
        return words[1]

    def tcl_source(self, words):
        return self.source(words[0])

    def tcl_proc(self, words):
        self.procedures[words[0]] = (words[1].split(), words[2])

    def tcl_uplevel(self, words):
        inner, self.frames = self.frames, self.frames[:1]
        try:
            return self.run(words[-1])
        finally:
            self.frames = inner

    def tcl_if(self, words):
        while words:
            if words[0] == "else":
                return self.run(words[1])
            if words[0] == "elseif":
                words = words[1:]
            if self.true(words[0]):
                return self.run(words[1])
            words = words[2:]

    def tcl_foreach(self, words):
        for item in words[1].split():
            self.tcl_set([words[0], item])
            self.run(words[2])

    def tcl_catch(self, words):
        try:
            result, status = self.run(words[0]), "0"
        except TclError as error:
            result, status = str(error), "1"
        if len(words) > 1:
            self.tcl_set([words[1], result])
        return status

    def tcl_error(self, words):
        raise TclError(words[0])

    def tcl_return(self, words):
        raise Return(words[0] if words else "")

    def tcl_exit(self, words):
        raise Exit(int(words[0]) if words else 0)

    def tcl_puts(self, words):
        if words[0] in self.streams:
            self.streams[words[0]].write(words[1] + "\n")
        else:
            self.say(words[-1])

    def tcl_open(self, words):
        self.streams[f"file{len(self.streams)}"] = open(words[0], words[1], encoding="utf-8")
        return f"file{len(self.streams) - 1}"

    def tcl_close(self, words):
        self.streams[words[0]].close()

    def tcl_file(self, words):
        what, *paths = words
        if what == "mkdir":
            return os.makedirs(paths[0], exist_ok=True)
        does = {"join": os.path.join, "dirname": os.path.dirname, "normalize": os.path.abspath}
        found = does[what](*paths)
        return found or "."

    def tcl_info(self, words):
        return self.scripts[-1]

    def tcl_glob(self, words):
        return " ".join(glob.glob(words[-1]))

    def tcl_lsort(self, words):
        return " ".join(sorted(words[0].split()))

    def tcl_llength(self, words):
        return len(words[0].split())

    def tcl_lsearch(self, words):
        items = words[-2].split()
        return items.index(words[-1]) if words[-1] in items else -1

    def tcl_regexp(self, words):
        found = re.search(words[0], words[1])
        for name, value in zip(words[2:], (found.group(), *found.groups()) if found else ()):
            self.tcl_set([name, value])
        return int(found is not None)


def _closing(text, at, left, right):
    """Where the bracket that opens at a place is closed."""
    depth = 0
    while at < len(text):
        depth += {left: 1, right: -1}.get(text[at], 0)
        if depth == 0:
            return at
        at += 2 if text[at] == "\\" else 1
    raise TclError(f"missing close-{'brace' if right == '}' else 'bracket'}")


def _holds(words):
    """The value of a comparison whose operands are quoted: or, and, not, then one comparison."""
    for operator, does in ((" or ", any), (" and ", all)):
        if operator in words:
            at = words.index(operator)
            return does((_holds(words[:at]), _holds(words[at + 1 :])))
    if words[0] == " not ":
        return not _holds(words[1:])
    values = [_number(word[1:-1]) for word in words[::2]]
    if len(words) == 1:
        return values[0] not in (0.0, "", "false", "no")
    one, other = values
    return {
        "==": one == other, "!=": one != other, "<": one < other, ">": one > other, "<=": one <= other,
        ">=": one >= other,
    }[words[1]]  # fmt: skip


def _number(word):
    try:
        return float(word)
    except ValueError:
        return word
