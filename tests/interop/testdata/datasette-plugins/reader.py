"""A plugin for Python's Datasette that declares secrets and reads them.

GET /-/read/NAME?actor=ID answers with what get_secret returned, or with the
exception that it raised. It needs no permission: it is for tests only.
"""

from datasette import Response, hookimpl
from datasette_secrets import Secret, get_secret


@hookimpl
def register_secrets():
    names = ["ALPHA", "BETA", "SHARED", "OF_HOST", "OF_PYTHON"]
    return [Secret(name, "A secret of the tests") for name in names]


async def read(datasette, request):
    name = request.url_vars["name"]
    try:
        value = await get_secret(datasette, name, request.args.get("actor"))
    except Exception as error:
        return Response.json({"error": "%s: %s" % (type(error).__name__, error)})
    return Response.json({"value": value})


@hookimpl
def register_routes():
    return [(r"^/-/read/(?P<name>[^/]+)$", read)]
