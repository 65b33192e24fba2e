package ui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"time"
)

//go:embed static templates
var files embed.FS

// asset is an embedded file with a name for its content.
type asset struct {
	data        []byte
	contentType string
	hash        string // the first 12 hex digits of the SHA-256
}

type assets map[string]asset

func loadAssets() assets {
	types := map[string]string{
		"app.css":     "text/css; charset=utf-8",
		"app.js":      "text/javascript; charset=utf-8",
		"favicon.png": "image/png",
	}
	loaded := assets{}
	for name, contentType := range types {
		data, err := files.ReadFile("static/" + name)
		if err != nil {
			panic("internal error: " + err.Error()) // embedded at build time
		}
		sum := sha256.Sum256(data)
		loaded[name] = asset{data, contentType, hex.EncodeToString(sum[:6])}
	}
	return loaded
}

// assetURL is the address of an embedded file. It changes with the content, so
// that browsers may keep the file for ever.
func (s *site) assetURL(name string) string {
	return s.url("/-/static/"+name) + "?_hash=" + s.assets[name].hash
}

func (s *site) static(w http.ResponseWriter, r *request) error {
	file, ok := s.assets[segment(r.path, 2)]
	if !ok {
		return &problem{status: http.StatusNotFound, text: "There is no such file."}
	}
	cache := "no-cache"
	if r.URL.Query().Get("_hash") == file.hash {
		cache = "max-age=31536000, immutable, public"
	}
	serveAsset(w, r, file, cache)
	return nil
}

func (s *site) favicon(w http.ResponseWriter, r *request) error {
	serveAsset(w, r, s.assets["favicon.png"], "max-age=3600, public")
	return nil
}

func serveAsset(w http.ResponseWriter, r *request, file asset, cache string) {
	h := w.Header()
	h.Set("Cache-Control", cache)
	h.Set("Content-Type", file.contentType)
	h.Set("ETag", `"`+file.hash+`"`)
	http.ServeContent(w, r.Request, "", time.Time{}, bytes.NewReader(file.data))
}
