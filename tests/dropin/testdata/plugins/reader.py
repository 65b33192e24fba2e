"""A plugin of Datasette that reads secrets for whoever asks. It is for tests only.

GET /-/read/NAME?actor=ID answers with what get_secret returned or raised;
GET /-/many?name=A&name=B&times=50 does that for many at once, and GET
/-/through-llm/MODEL?actor=ID has datasette-llm look for the key of a model.
POST /-/declare?name=A&name=B changes what this plugin declares.
"""

import asyncio

import datasette_secrets
from datasette import Response, hookimpl
from datasette_secrets import Secret, get_secret

declared = ["ALPHA", "BETA", "DEMO_ONE"]


@hookimpl(trylast=True)
def register_secrets(datasette):
    async def later():
        return [Secret(name, "A secret of the tests") for name in declared]

    return later


async def outcome(datasette, name, actor=None):
    try:
        return {"value": await get_secret(datasette, name, actor), "error": ""}
    except Exception as error:
        kind = type(error)
        typed = issubclass(kind, getattr(datasette_secrets, "SecretsError", ()))
        return {"value": None, "error": kind.__name__, "text": str(error), "typed": typed}


async def read(datasette, request):
    return Response.json(await outcome(datasette, request.url_vars["name"], request.args.get("actor")))


async def many(datasette, request):
    names = request.args.getlist("name") * int(request.args.get("times"))
    return Response.json(await asyncio.gather(*(outcome(datasette, name) for name in names)))


async def through_llm(datasette, request):
    import llm
    from datasette_llm import LLM

    actor = request.args.get("actor")
    model = llm.get_async_model(request.url_vars["model"])
    return Response.json({"value": await LLM(datasette).get_key_for_model(model, {"id": actor} if actor else None)})


async def declare(datasette, request):
    declared[:] = request.args.getlist("name")
    return Response.json(declared)


@hookimpl
def register_routes():
    return [
        (r"^/-/read/(?P<name>[^/]+)$", read),
        (r"^/-/many$", many),
        (r"^/-/through-llm/(?P<model>[^/]+)$", through_llm),
        (r"^/-/declare$", declare),
    ]
