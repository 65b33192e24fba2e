package host

import "github.com/datasette-secrets/datasette-secrets/internal/ui"

// hooks let plugins add to the pages.
func (h *Host) hooks() ui.Hooks {
	if h.plugins == nil {
		return ui.Hooks{}
	}
	return ui.Hooks{
		Sender:     h.plugins.ActorFromRequest,
		MenuLinks:  h.plugins.MenuLinks,
		Actors:     h.plugins.ActorsFromIDs,
		Validators: h.plugins.Validators,
		TestSecret: h.plugins.TestSecret,
		Page:       h.plugins.Page,
	}
}
