"""A whole plugin: it declares the key of a translation service and logs
whether it may call that service."""

from datasette_secrets_plugin import Host, Secret, serve


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
        allowed = host.can_access_secret("TRANSLATE_API_KEY")
        host.logger.info("ready", extra={"may_translate": allowed})


def main() -> None:
    serve(Translator())


if __name__ == "__main__":
    main()
