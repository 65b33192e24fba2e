package secrets

// MenuLink is a link that a plugin puts into the menu of every page.
type MenuLink struct {
	Plugin string // its name
	URL    string // a path on the host without its base_url, or an http or https URL
	Label  string // plain text
}

// TestResult is what a plugin found out about the value of a secret.
type TestResult struct {
	Plugin  string // its name
	OK      bool   // the value works
	Message string // one sentence of plain text, without the value; may be empty
}
