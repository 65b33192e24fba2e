"""What an environment with sdk/datasette looks like to its other packages."""

import importlib.metadata
import sys

from packaging.requirements import Requirement

from datasette_secrets import client  # noqa: F401

imported = "datasette" in sys.modules

ours = [one for one in importlib.metadata.distributions() if one.metadata["Name"] == "datasette-secrets"]
assert len(ours) == 1, ours
print("version", ours[0].version)
for one in importlib.metadata.distributions():
    for text in one.requires or []:
        wanted = Requirement(text)
        if wanted.name == "datasette-secrets":
            assert wanted.specifier.contains(ours[0].version, prereleases=True), text
            print(one.metadata["Name"], "satisfied")
print("imported with Datasette" if imported else "imported without Datasette")
