package ui_test

import "testing"

// Everybody sees that a host is for the author of a plugin, on every page.
func TestDevelopmentIsOnEveryPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo, func(o *options) { o.ui.Development = true })
	for _, path := range []string{"/", "/-/secrets", "/-/secrets/ONE", "/-/plugins", "/-/sign-in"} {
		w.get(path, w.as("root")).want(t, 200, "Development mode.", `<p class="development" role="note">`)
	}
	w.get("/-/secrets").want(t, 403, "Development mode.")
	w.get("/-/nothing").want(t, 404, "Development mode.")
	newWorld(t, demo).get("/").lacks(t, "Development mode")
}
