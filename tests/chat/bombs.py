"""Templates that try to take for ever or to eat the memory. Each must end as a TemplateFailed within the limits.

Run as a program it renders them all under hard limits of the operating system and says which got through.
"""

from __future__ import annotations

import sys

from webui.chat.sandbox import TemplateFailed, run

SECONDS = 0.3
MEMORY = 256 << 20
VALUES: dict[str, object] = {"messages": [{"role": "user", "content": "Hello"}]}
LONG_VALUES: dict[str, object] = {"messages": [{"role": "user", "content": "word " * 200_000}]}

TWICE = "{% for i in range(60) %}{% set n.{0} = [n.{0}, n.{0}] %}{% endfor %}"
LIST = "{% set n = namespace(a=['x'], b=['x']) %}" + TWICE.replace("{0}", "a") + TWICE.replace("{0}", "b")
TUPLE = "{% set n = namespace(a=('x',)) %}{% for i in range(60) %}{% set n.a = (n.a, n.a) %}{% endfor %}"
LOOPS = "{% set n = namespace(d=0) %}{% for i in range(99999) %}{% for j in range(99999) %}"
ENDS = "{% endfor %}{% endfor %}"
CHAIN = "{% set n = namespace(d=(1,), e=(1,)) %}{% for i in range(99999) %}"
WIDE = 60_000


def looped(body: str) -> str:
    return LOOPS + body + ENDS


BOMBS: dict[str, str] = {
    # time
    "empty loops": looped(""),
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "recursive loop": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "recursive block": "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    "compare": LIST + "{{ n.a == n.b }}",
    "compare in": LIST + "{{ n.a in [n.b] }}",
    "compare sort": LIST + "{{ [n.a, n.b] | sort }}",
    "compare max": LIST + "{{ [n.a, n.b] | max }}",
    "compare is": LIST + "{{ n.a is eq n.b }}",
    "compare select": LIST + "{{ [n.a] | select('eq', n.b) | list }}",
    "compare groupby": LIST + "{{ [{'k': n.a}, {'k': n.b}] | groupby('k') }}",
    "compare count": LIST + "{{ [n.a].count(n.b) }}",
    "compare changed": LIST + "{% for x in [n.a, n.b] %}{{ loop.changed(x) }}{% endfor %}",
    "hash": TUPLE + "{{ {n.a: 1} }}",
    "hash getitem": TUPLE + "{{ {}[n.a] }}",
    "hash get": TUPLE + "{{ {}.get(n.a) }}",
    "hash unique": TUPLE + "{{ [n.a, n.a] | unique | list }}",
    "big number": "{% set n = namespace(a=7) %}{% for i in range(90) %}{% set n.a = n.a * n.a %}{% endfor %}",
    "power": "{{ 9 ** 999 ** 99 }}",
    "negative power": "{{ 9 ** -99999999 }}",
    "range": "{% for i in range(10 ** 9) %}{% endfor %}",
    "long attribute": "{{ range(90000) | map(attribute='a.' * 30000) | list }}",
    "strip": "{{ ('x' * 240000).strip('y' * 60000) }}",
    "lazy filters": LOOPS + "{% for x in range(90000) | map('string') %}{{ loop.length }}{% endfor %}" + ENDS,
    # shared parts written out
    "print": LIST + "{{ n.a }}",
    "print namespace": LIST + "{{ n }}",
    "print cycle": "{% set n = namespace() %}{% set n.a = n %}{{ n }}",
    "print items": LIST + "{{ {'a': n.a}.items() }}",
    "tilde": LIST + "{{ n.a ~ '' }}",
    "percent": LIST + "{{ '%s' % n.a }}",
    "format": LIST + "{{ '{}'.format(n.a) }}",
    "format filter": LIST + "{{ '%s' | format(n.a) }}",
    "tojson": LIST + "{{ n.a | tojson }}",
    "join": LIST + "{{ [n.a] | join }}",
    "string": LIST + "{{ n.a | string }}",
    "trim": LIST + "{{ n.a | trim }}",
    "upper": LIST + "{{ n.a | upper }}",
    "replace": LIST + "{{ n.a | replace('a', 'b') }}",
    "raise": LIST + "{{ raise_exception(n.a) }}",
    # memory
    "times": "{{ 'a' * 10 ** 9 }}",
    "times, turned": "{{ 10 ** 9 * 'a' }}",
    "list times": "{{ [1] * 10 ** 9 }}",
    "list of ranges": "{{ (range(99999) | list + range(99999) | list) * 999 }}",
    "percent width": "{{ '%1000000000d' % 1 }}",
    "percent width filter": "{{ '%1000000000d' | format(1) }}",
    "percent star": "{{ '%*d' % (999999999, 1) }}",
    "percent star filter": "{{ '%*d' | format(999999999, 1) }}",
    "percent widths": "{{ ('%9999d' * 9000) % ((1,) * 9000) }}",
    "percent precision": "{{ '%.999999f' % 1 }}",
    "percent names": "{{ ('%(a)s' * 12000) % {'a': 'x' * 60000} }}",
    "format width": "{{ '{:1000000000}'.format(1) }}",
    "format inner width": "{{ '{0:{1}}'.format('a', '999999999') }}",
    "format_map": "{{ '{a:999999999}'.format_map({'a': 1}) }}",
    "format numbers": "{{ ('{0}' * 15000).format('x' * 60000) }}",
    "indent": "{{ ('\n' * 60000) | indent(1000) }}",
    "indent text": "{{ ('\n' * 60000) | indent('x' * 60000) }}",
    "json indent": "{% set n = namespace(a=[1] * 5000) %}{% for i in range(60) %}{% set n.a = [n.a] %}{% endfor %}"
    "{{ n.a | tojson(indent=1000) }}",
    "json separators": "{{ ([1] * 6000) | tojson(separators=('x' * 60000, 'y')) }}",
    "replaced": "{{ ('x' * 60000).replace('x', 'y' * 60000) }}",
    "replaced nothing": "{{ ('x' * 60000).replace('', 'y' * 60000) }}",
    "replace filter": "{{ ('x' * 60000) | replace('x', 'y' * 60000) }}",
    "join filter": "{{ range(90000) | join('y' * 60000) }}",
    "joined": "{{ ('y' * 60000).join(['a'] * 9000) }}",
    "sum of lists": "{{ ([[1]] * 90000) | sum(start=[]) }}",
    "slice": "{{ range(9) | slice(99999999) | list }}",
    "batch": "{{ [1] | batch(99999999, 'x') | list }}",
    "round": "{{ 1.5 | round(99999999) }}",
    "truncate": "{{ 'a' | truncate(99999999, True, 'x' * 60000) }}",
    "ljust": "{{ 'a'.ljust(10 ** 9) }}",
    "center": "{{ 'a' | center(10 ** 9) }}",
    "zfill": "{{ 'a'.zfill(10 ** 9) }}",
    "expandtabs": "{{ '\t'.expandtabs(10 ** 9) }}",
    "lipsum": "{{ lipsum(n=99999999) }}",
    "strftime": "{{ strftime_now('%Y' * 100000) }}",
    "doubled by tilde": "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubled by plus": "{% set n = namespace(x='abcd') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "macro": "{% macro m(x) %}" + "{{ x }}" * 2000 + "{% endmacro %}{{ m(m(m(m('x' * 999)))) }}",
    "set block": "{% set a %}{% for i in range(90000) %}" + "y" * WIDE + "{% endfor %}{% endset %}",
    "filter block": "{% filter upper %}{% for i in range(90000) %}" + "y" * WIDE + "{% endfor %}{% endfilter %}",
    "output": "{% for i in range(90000) %}{{ 'some words' }}{% endfor %}",
    "escaped": "{{ ('<' * 60000) | e | e | e | e | e | e | e | e }}",
    "kept slices": "{% set s = 'x' * 60000 %}" + looped("{% set n.d = {'a': s[i:], 'd': n.d} %}"),
    "kept lists": looped("{% set n.d = [n.d" + ", 1" * 2000 + "] %}"),
    "kept tuples": looped("{% set n.d = (n.d,) %}"),
    "kept dicts": looped("{% set n.d = {'a': n.d} %}"),
    "kept namespaces": looped("{% set n.d = namespace(d=n.d) %}"),
    "kept cyclers": looped("{% set n.d = [n.d, cycler(1, 2)] %}"),
    "kept characters": looped("{% set n.d = [n.d, ('ф' * 6000) | list] %}"),
    "kept words": looped("{% set n.d = [n.d, ('ab ' * 9000).split()] %}"),
    "kept joiners": looped("{% set n.d = [n.d, joiner('x' * 6000)] %}"),
    # the stack
    "deep hash": CHAIN + "{% set n.d = (n.d,) %}{% endfor %}{{ {n.d: 1} }}",
    "deep compare": CHAIN + "{% set n.d = (n.d,) %}{% set n.e = (n.e,) %}{% endfor %}{{ n.d == n.e }}",
    "deep print": CHAIN + "{% set n.d = [n.d] %}{% endfor %}{{ n.d }}",
    "deep json": CHAIN + "{% set n.d = [n.d] %}{% endfor %}{{ n.d | tojson }}",
    "deep filters": CHAIN + "{% set n.d = n.d | select %}{% endfor %}{{ n.d | list }}",
    "deep items": CHAIN + "{% set n.d = {1: n.d}.items() %}{% endfor %}{{ n.d }}",
    # while compiling
    "nested brackets": "{{ " + "(" * 30_000 + "a" + ")" * 30_000 + " }}",
    "nested ifs": "{% if a %}" * 5000 + "{% endif %}" * 5000,
    "nested loops": "{% for x in a %}" * 30 + "{% endfor %}" * 30,
    "long sum": "{{ a" + " + a" * 30_000 + " }}",
    "long list": "{{ [" + "a, " * 30_000 + "] }}",
    "many filters": "{{ a" + " | trim" * 15_000 + " }}",
    "many outputs": "{{ a }}" * 20_000,
    "long number": "{{ " + "9" * 100_000 + " }}",
    "too long": "x" * (1 << 20),
    "folded constant": "{% if 'a' * 10 ** 10 %}{% endif %}",
}


def survivors() -> list[str]:
    """The names of the bombs that did not end as they should."""
    bad: list[str] = []
    for name, source in BOMBS.items():
        try:
            run(source, values_for(name), seconds=SECONDS)
        except TemplateFailed:
            continue
        except MemoryError as error:
            bad.append(f"{name}: {error!r}")
        else:
            bad.append(name)
    return bad


def values_for(name: str) -> dict[str, object]:
    """The stack is only in danger where a long chat allows for many things."""
    return LONG_VALUES if name.startswith("deep") else VALUES


if __name__ == "__main__":
    import resource  # not on Windows

    with open("/proc/self/statm") as status:
        used = int(status.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    sys.exit("\n".join(survivors()) or 0)
