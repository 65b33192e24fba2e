package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
)

// blab writes its secrets to its log in every way that happens by accident, and
// ends with a panic that shows them.
func (m *misbehave) blab() {
	r, err := pluginpb.NewSecretsClient(m.host).GetSecrets(context.Background(),
		&pluginpb.GetSecretsRequest{Names: []string{"BLAB_KEY", "BLAB_LINES"}})
	if err != nil {
		complain(err)
	}
	var all []string
	for _, result := range r.GetResults() {
		value := string(result.GetFound().GetValue())
		all = append(all, value)
		for _, text := range ways(value) {
			fmt.Fprintln(os.Stdout, "stdout", text)
			report("stderr %s", text)
			report("%s", asJSON(map[string]any{"@message": text, "@level": text, "field": text, "deep": []any{map[string]string{text: text}}, text: 1}))
			report("%s", asJSON(map[string]any{"@message": "a field that is cut off", "field": strings.Repeat("y", 1010) + text}))
			report("%s%s", strings.Repeat("z", 16<<10-20), text)
			report("%s", asJSON(map[string]any{"@message": strings.Repeat("z", 16<<10-32) + text}))
		}
	}
	report("blabbed")
	panic(errors.Join(errors.New(all[0]), fmt.Errorf("dial %q: %s", all[0], all[1])))
}

func ways(value string) []string {
	return []string{
		value,
		"https://user:" + url.QueryEscape(value) + "@example.com/" + url.PathEscape(value),
		"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+value)),
		"Authorization: Basic " + base64.URLEncoding.EncodeToString([]byte("us:"+value+"!")),
		"Authorization: Basic " + base64.RawStdEncoding.EncodeToString([]byte("use:"+value+"!!")),
		hex.EncodeToString([]byte(value)),
		strings.ToUpper(hex.EncodeToString([]byte(value))),
		fmt.Sprintf("%q %+q %x", value, value, value),
		asJSON(map[string]string{"key": asJSON(value)}),
	}
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		complain(err)
	}
	return string(text)
}
