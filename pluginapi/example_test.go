package pluginapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// weather is a plugin with every optional interface.
type weather struct{}

func (weather) RegisterSecrets(context.Context) ([]pluginapi.Secret, error) {
	return []pluginapi.Secret{{Name: "WEATHER_KEY", Description: "Key of the weather service"}}, nil
}

func (weather) TestSecret(_ context.Context, _ string, key pluginapi.Value) (pluginapi.TestResult, error) {
	if !strings.HasPrefix(key.Reveal(), "wk-") {
		return pluginapi.TestResult{Message: "Keys of the weather service begin with wk-."}, nil
	}
	return pluginapi.TestResult{OK: true}, nil
}

func (weather) MenuLinks(_ context.Context, actor pluginapi.Actor) ([]pluginapi.MenuLink, error) {
	if actor == nil {
		return nil, nil
	}
	return []pluginapi.MenuLink{{Href: "/-/plugins/weather/", Label: "Weather"}}, nil
}

func (weather) ActorsFromIDs(_ context.Context, ids []string) (map[string]pluginapi.Actor, error) {
	people := map[string]string{"ada": "Ada Lovelace"}
	actors := map[string]pluginapi.Actor{}
	for _, id := range ids {
		if name, ok := people[id]; ok {
			actors[id] = pluginapi.Actor{"id": id, "name": name}
		}
	}
	return actors, nil
}

func (weather) ActorFromRequest(_ context.Context, r *pluginapi.RequestMeta) (pluginapi.Actor, error) {
	if user := r.Headers["x-forwarded-user"]; user != "" {
		return pluginapi.Actor{"id": user}, nil
	}
	return nil, nil
}

func (weather) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if host := pluginapi.HostFromContext(r.Context()); host != nil {
		_, err := host.GetSecret(r.Context(), "WEATHER_KEY", "")
		if errors.Is(err, pluginapi.ErrNotSet) {
			http.Error(w, "There is no key yet", http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintf(w, "Hello %s, it is sunny at %s", pluginapi.ActorFromContext(r.Context()).Display(), r.URL.Path)
}

func ExampleValidator() {
	result, err := weather{}.TestSecret(context.Background(), "WEATHER_KEY", pluginapi.Value{})
	fmt.Println(result.OK, result.Message, err)
	// Output: false Keys of the weather service begin with wk-. <nil>
}

func ExampleMenuProvider() {
	links, _ := weather{}.MenuLinks(context.Background(), pluginapi.Actor{"id": "ada"})
	fmt.Println(links)
	// Output: [{/-/plugins/weather/ Weather}]
}

func ExampleActorsFromIDs() {
	actors, _ := weather{}.ActorsFromIDs(context.Background(), []string{"ada", "eve"})
	fmt.Println(len(actors), actors["ada"].Display())
	// Output: 1 Ada Lovelace
}

func ExampleAuthenticator() {
	actor, _ := weather{}.ActorFromRequest(context.Background(), &pluginapi.RequestMeta{
		Method: "GET", Path: "/-/secrets", Headers: map[string]string{"x-forwarded-user": "ada"},
	})
	fmt.Println(actor.ID())
	// Output: ada
}

func ExampleHTTPHandler() {
	w := httptest.NewRecorder()
	weather{}.ServeHTTP(w, httptest.NewRequest("GET", "/oslo", nil))
	fmt.Println(w.Body)
	// Output: Hello , it is sunny at /oslo
}
