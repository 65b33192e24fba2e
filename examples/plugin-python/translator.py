"""A whole plugin: it declares the key of a translation service, and takes every
new key into use as soon as there is one."""

from datasette_secrets_plugin import Host, NotSet, Secret, serve


class Translator:
    def register_secrets(self) -> list[Secret]:
        return [
            Secret(
                "TRANSLATE_API_KEY",
                description="Key of the translation service",
                obtain_url="https://example.com/keys",
                obtain_label="Get a key",
            )
        ]

    def start(self, host: Host) -> None:
        for _ in host.watch("TRANSLATE_API_KEY"):
            try:
                key = host.get_secret("TRANSLATE_API_KEY")
            except NotSet:
                host.logger.info("waiting for TRANSLATE_API_KEY")
            else:
                host.logger.info("ready to translate", extra={"key_length": len(key)})


def main() -> None:
    serve(Translator())


if __name__ == "__main__":
    main()
