"""A plugin of Datasette that declares three secrets, one in each way."""

from datasette import hookimpl
from datasette_secrets import Secret


@hookimpl
def register_secrets():
    return [
        Secret("DEMO_ONE", "The first of the demo"),
        Secret("DEMO_TWO", "The second of the demo", "https://example.com/two", "Get the second"),
        Secret("DEMO_THREE", obtain_url="https://example.com/three", obtain_label="Get the third"),
    ]
