"""Runs Datasette's create-token for each of many lists of arguments and prints
what each prints, as JSON.

Argument: a JSON list of lists of arguments.
"""

import json
import sys

from click.testing import CliRunner
from datasette.cli import cli

outputs = []
for arguments in json.loads(sys.argv[1]):
    result = CliRunner().invoke(cli, ["create-token"] + arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    outputs.append(result.stdout)
print(json.dumps(outputs))
