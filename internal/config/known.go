package config

// setting is one of the settings that Datasette 1.0a41 knows.
type setting struct {
	name     string
	fallback any // the default: a bool, int64 or string, which is also the setting's type
	help     string
}

func findSetting(name string) (setting, bool) {
	for _, s := range knownSettings() {
		if s.name == name {
			return s, true
		}
	}
	return setting{}, false
}

// knownSettings is in Datasette's order. Settings about browsing data are
// known so that one configuration serves both programs; this host ignores
// them.
func knownSettings() []setting {
	const ignored = " [no effect here]"
	return []setting{
		{"default_page_size", int64(100), "Rows on one page of a table" + ignored},
		{"max_returned_rows", int64(1000), "Most rows that a table or query returns" + ignored},
		{"max_insert_rows", int64(100), "Most rows in one bulk insert" + ignored},
		{"max_post_body_bytes", int64(2 * 1024 * 1024), "Largest body of a POST request in bytes, 0 for no limit"},
		{"num_sql_threads", int64(3), "Threads that run queries" + ignored},
		{"sql_time_limit_ms", int64(1000), "Longest time for a query in milliseconds" + ignored},
		{"default_facet_size", int64(30), "Values shown for a facet" + ignored},
		{"facet_time_limit_ms", int64(200), "Longest time for a facet in milliseconds" + ignored},
		{"facet_suggest_time_limit_ms", int64(50), "Longest time for suggesting a facet in milliseconds" + ignored},
		{"allow_facet", true, "Let users ask for facets" + ignored},
		{"allow_download", true, "Let users download database files" + ignored},
		{"allow_signed_tokens", true, "Accept signed API tokens"},
		{"default_allow_sql", true, "Let everyone run their own SQL" + ignored},
		{"max_signed_tokens_ttl", int64(0), "Longest life of a signed API token in seconds, 0 for no limit"},
		{"suggest_facets", true, "Suggest facets" + ignored},
		{"default_cache_ttl", int64(5), "Seconds that pages of data may be cached" + ignored},
		{"cache_size_kb", int64(0), "SQLite's cache in KB, 0 for its own default" + ignored},
		{"allow_csv_stream", true, "Let users stream whole tables as CSV" + ignored},
		{"max_csv_mb", int64(100), "Largest CSV export in MB, 0 for no limit" + ignored},
		{"truncate_cells_html", int64(2048), "Longest cell of a table page, 0 for no limit" + ignored},
		{"force_https_urls", false, "Write https:// in every full URL"},
		{"template_debug", false, "Let users see a template's variables" + ignored},
		{"trace_debug", false, "Let users see a trace of the queries" + ignored},
		{"base_url", "/", "Path under which the pages are served; begins and ends with /"},
	}
}
