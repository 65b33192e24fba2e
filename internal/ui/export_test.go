package ui

import (
	"html/template"
	"net/http"
	"reflect"
)

// What the tests of this package need from inside it.

var (
	PythonJSON   = pythonJSON
	ReadableJSON = readableJSON
	PythonStrip  = pythonStrip
	PythonRepr   = pythonRepr
)

func ParseForm(body []byte) (map[string]string, error) { return parseForm(body) }

func Markup(description string) string { return string(newMarkup().html(description)) }

// PluginLocation is where a redirect of the page /a/b of the plugin "weather"
// leads on a host.
func PluginLocation(host, location string) (string, error) {
	hr := &http.Request{Host: host}
	return (&site{prefix: "/"}).pluginLocation(&request{Request: hr, path: "/-/plugins/weather/a/b"}, "weather", location)
}

// Status is the HTTP status and text of an error.
func Status(err error) (status int, text string, known bool) {
	p, known := explain(err)
	return p.status, p.text, known
}

// Render renders the page struct p points to with its template.
func Render(p any) (string, error) {
	body, err := parsePages().render(reflect.ValueOf(p).Elem().Interface().(page))
	return string(body), err
}

// Pages are pointers to a zero value of every page struct.
func Pages() []any {
	return []any{
		&listPage{}, &secretPage{}, &deletePage{}, &restorePage{}, &homePage{}, &pluginsPage{}, &decidePage{}, &historyPage{},
		&dataPage{}, &tablePage{}, &signInPage{}, &unsealPage{}, &logoutPage{}, &tokenPage{}, &clientsPage{},
		&logPage{}, &entryPage{},
		&failurePage{}, &forbiddenPage{}, &originPage{},
	}
}

func PageFiles() []string { return pageFiles() }

func PageFile(p any) string { return reflect.ValueOf(p).Elem().Interface().(page).file() }

func BasePageType() reflect.Type { return reflect.TypeFor[basePage]() }

func HTMLType() reflect.Type { return reflect.TypeFor[template.HTML]() }

func AttrType() reflect.Type { return reflect.TypeFor[template.HTMLAttr]() }

// Paths are the paths of the routes table.
func Paths() []string {
	var paths []string
	for _, row := range new(site).routes() {
		paths = append(paths, row.path)
	}
	return paths
}
