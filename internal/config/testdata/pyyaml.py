"""Makes yaml.json: what PyYAML's safe_load reads, for the tests of ParseYAML.

Run it with a Python that has PyYAML 6:  python pyyaml.py > yaml.json
"""

import datetime
import json
import struct
import sys

import yaml

SCALARS = """
yes|Yes|YES|yEs|y|Y|no|No|NO|n|on|On|ON|off|Off|OFF|true|True|TRUE|tRUE|false|False|FALSE
~|null|Null|NULL|nULL|None|nil
0|-0|+0|1|-1|+1|010|-010|08|09|0_7|0_|1_000|1__0_|_1|0x1F|-0x1f|0X1F|0x_f|0b101|+0b1_0|0B1|0o17
9223372036854775807|9223372036854775808|-9223372036854775808|-9223372036854775809|0xffffffffffffffffff
1:30|-1:30|190:20:30|1:60|0:30|1:5:9|01:30|1_0:30|1:|12:30:45
1.0|1.|-1.5|.5|-.5|+.5|._5|1_0.2_5|1.5e3|1.5e+3|1.5E-3|1e3|1e+3|1.e+1|1.0e+999|1:30.5|0:30.5|190:20:30.15|-190:20:30.15
.inf|-.inf|+.Inf|.INF|.iNF|.nan|.NaN|.NAN|-.nan|inf|nan|Infinity|1.2.3|127.0.0.1
2024-01-01|2024-1-1|2024-13-01|2024-02-30|2023-02-29|0000-01-01|2024-01-01 1:02:03|2024-01-01T01:02:03Z
2001-12-14t21:59:43.10-05:00|2001-12-14 21:59:43.10 -5|2001-12-14 21:59:43 +05:30|2024-01-01T25:00:00|2024-01-01T01:02:03.123456789
2024-01-01T01:02:60|2024-01-01T01:02:03+24:00|2024-01-01T01:02|2024-01-01T01:02:03.|20240101
=|<<|!!str 010|!!str yes|!!str|!!int "010"|!!int 0x1f|!!int 05:30|!!int x|!!int ""|!!bool "on"|!!bool maybe|!!null x|!!float 1|!!float "1_0"|!!float x
!!timestamp 2024-01-01|!!timestamp x|!!str "a"|!<tag:yaml.org,2002:int> 8|!mine x|!!python/object:os.system x|! yes|!!binary aGk=
"yes"|'010'|"\\x41\\u00e9"|'it''s'|a b|a:b|-|?x|@|$x|*x|%x|#x|a #b|"a #b"
"""

DOCUMENTS = [
    "",
    "\n",
    "# only a comment\n",
    "---\n",
    "--- 1\n...\n",
    "a: 1\n---\nb: 2\n",
    "%YAML 1.1\n---\na: on\n",
    "\ufeffa: 1\n",
    "a: 1\na: 2\n",
    "a: {b: 1}\na: {c: 2}\n",
    "a: |\n  x\n  y\nb: >\n  x\n  y\nc: |-\n  1\n",
    "- 1\n- [a, {b: yes}]\n-\n",
    "a:\nb: ~\nc: ''\n",
    "{a: 1, b, 'c': [1, 2,], }",
    "yes: 1\n~: 2\n8: 3\n010: 4\n1.5: 5\n2.0: 6\n",
    "'yes': 1\n!!str 010: 2\n",
    "=: 1\n",
    "[a]: 1\n",
    "? {a: 1}\n: 2\n",
    "a: &x [1, 2]\nb: *x\n",
    "a: &x yes\n*x : 1\n",
    "a: *nothing\n",
    "a: &x {k: 1}\nb:\n  <<: *x\n  j: 2\n",
    "a: &x {k: 1, l: 1}\nb:\n  k: 2\n  <<: *x\n",
    "a: &x {k: 1}\nb: &y {k: 2, l: 2}\nc:\n  <<: [*x, *y]\n",
    "a: &x {k: 1}\nb: &y {k: 2, l: 2}\nc:\n  <<: *x\n  <<: *y\n",
    "a: &x {k: 1}\nb: &y {<<: *x, l: 2}\nc: {<<: *y}\n",
    "a: {<<: {k: 1}, '<<': 2}\n",
    "a: {<<: 1}\n",
    "a: {<<: [1]}\n",
    "a: {!!merge x: {k: 1}}\n",
    "a: !!map {b: 1}\nb: !!seq [1]\n",
    "a: !!seq {b: 1}\n",
    "a: !!str [1]\n",
    "a: !!set {b, c}\n",
    "a: b: c\n",
    "a: [1\n",
    "a:\n\tb: 1\n",
    "a: 'x\n",
    "permissions:\n  manage-secrets: on\n  other: {id: 010}\nallow: {id: [yes, '1', 1]}\n",
]


def show(v):
    "Writes a value with its type, as the test does."
    if isinstance(v, bool):
        return str(v).lower()
    if v is None:
        return "null"
    if isinstance(v, int):
        return "int %d" % v
    if isinstance(v, float):
        return "float " + ("nan" if v != v else struct.pack(">d", v).hex())
    if isinstance(v, datetime.datetime):
        zone = v.tzinfo or datetime.timezone.utc
        v = v.replace(tzinfo=zone).astimezone(datetime.timezone.utc)
        return "time " + v.strftime("%04d-%%m-%%dT%%H:%%M:%%S.%%f" % v.year)
    if isinstance(v, datetime.date):
        return "time %04d-%02d-%02dT00:00:00.000000" % (v.year, v.month, v.day)
    if isinstance(v, str):
        return "".join(["str ", json.dumps(v)])
    if isinstance(v, list):
        return "[" + ", ".join(show(item) for item in v) + "]"
    if isinstance(v, dict):
        texts = {key(k): item for k, item in v.items()}
        return "{" + ", ".join(json.dumps(k) + ": " + show(texts[k]) for k in sorted(texts)) + "}"
    return "unsupported"


def key(k):
    "The text of a key: what json.dumps makes of it."
    if isinstance(k, (datetime.date, datetime.datetime)):
        return str(k)
    if isinstance(k, str):
        return k
    return json.dumps(k)


def load(text):
    try:
        return show(yaml.safe_load(text))
    except Exception:
        return "error"


def main():
    assert yaml.__version__.startswith("6."), "this needs PyYAML 6"
    texts = DOCUMENTS
    for line in SCALARS.strip().splitlines():
        texts = texts + ["v: " + scalar + "\n" for scalar in line.split("|")]
    json.dump([{"yaml": t, "want": load(t)} for t in texts], sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
