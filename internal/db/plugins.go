package db

import "time"

// Plugin is one row of datasette_secrets_plugins: a plugin as its program last
// introduced itself. Times are UTC text; an empty text is null.
type Plugin struct {
	Name         string
	Hash         string // empty while the plugin never introduced itself
	Version      string
	Declarations string // JSON
	Hooks        string // JSON
	FirstSeenAt  string
	SeenAt       string
	DisabledAt   string
	DisabledBy   string
}

// PluginRequest is one row of datasette_secrets_plugin_requests.
type PluginRequest struct {
	ID        int64 // the older request has the lower one
	Plugin    string
	Kind      string
	Name      string
	State     string
	AskedAt   string
	DecidedAt string
	DecidedBy string
}

// PluginDecision is one row of datasette_secrets_plugin_decisions.
type PluginDecision struct {
	ID       int64
	Time     string
	ActorID  string
	Proof    string
	Plugin   string
	Decision string
	Kind     string
	Name     string
	Hash     string
}

// Plugins returns every plugin that the file has seen, sorted by name.
func (t *Tx) Plugins() ([]Plugin, error) {
	return collect(t, "reading the plugins", func(scan scanner) (p Plugin, err error) {
		err = scan(&p.Name, &p.Hash, &p.Version, &p.Declarations, &p.Hooks,
			&p.FirstSeenAt, &p.SeenAt, &p.DisabledAt, &p.DisabledBy)
		return p, err
	}, `
		select name, hash, version, declarations, hooks,
			coalesce(first_seen_at, ''), coalesce(seen_at, ''),
			coalesce(disabled_at, ''), coalesce(disabled_by, '')
		from datasette_secrets_plugins order by name`)
}

// PluginRequests returns every request of every plugin, oldest first.
func (t *Tx) PluginRequests() ([]PluginRequest, error) {
	return collect(t, "reading what plugins ask for", func(scan scanner) (r PluginRequest, err error) {
		err = scan(&r.ID, &r.Plugin, &r.Kind, &r.Name, &r.State, &r.AskedAt, &r.DecidedAt, &r.DecidedBy)
		return r, err
	}, `
		select id, plugin, kind, name, state, asked_at, coalesce(decided_at, ''), coalesce(decided_by, '')
		from datasette_secrets_plugin_requests order by id`)
}

// PluginDecisions returns the latest decisions about a plugin, newest first,
// at most limit.
func (t *Tx) PluginDecisions(plugin string, limit int) ([]PluginDecision, error) {
	return collect(t, "reading the decisions about a plugin", func(scan scanner) (d PluginDecision, err error) {
		err = scan(&d.ID, &d.Time, &d.ActorID, &d.Proof, &d.Plugin, &d.Decision, &d.Kind, &d.Name, &d.Hash)
		return d, err
	}, `
		select id, time, coalesce(actor_id, ''), coalesce(proof, ''), plugin, decision,
			coalesce(kind, ''), coalesce(name, ''), coalesce(hash, '')
		from datasette_secrets_plugin_decisions where plugin = ? order by id desc limit ?`, plugin, limit)
}

// SeePlugin records how a plugin introduces itself now. It takes Name, Hash,
// Version, Declarations and Hooks.
func (t *Tx) SeePlugin(p Plugin) error {
	now := t.now.Format(time.DateTime)
	return classify("recording a plugin", t.exec(`
		insert into datasette_secrets_plugins (name, hash, version, declarations, hooks, first_seen_at, seen_at)
		values (?, ?, ?, ?, ?, ?, ?)
		on conflict (name) do update set
			hash = excluded.hash, version = excluded.version,
			declarations = excluded.declarations, hooks = excluded.hooks,
			first_seen_at = coalesce(first_seen_at, excluded.first_seen_at), seen_at = excluded.seen_at`,
		p.Name, p.Hash, p.Version, p.Declarations, p.Hooks, now, now))
}

// DisablePlugin records that a plugin is turned off, by whom.
func (t *Tx) DisablePlugin(name, by string) error {
	return classify("turning off a plugin", t.exec(`
		insert into datasette_secrets_plugins (name, disabled_at, disabled_by) values (?, ?, ?)
		on conflict (name) do update set
			disabled_at = excluded.disabled_at, disabled_by = excluded.disabled_by`,
		name, t.now.Format(time.DateTime), orNull(by)))
}

// EnablePlugin records that a plugin is turned on again.
func (t *Tx) EnablePlugin(name string) error {
	return classify("turning on a plugin", t.exec(`
		update datasette_secrets_plugins set disabled_at = null, disabled_by = null where name = ?`, name))
}

// AskForPlugin adds a request that nobody decided yet.
func (t *Tx) AskForPlugin(plugin, kind, name string) error {
	return classify("recording what a plugin asks for", t.exec(`
		insert into datasette_secrets_plugin_requests (plugin, kind, name, state, asked_at)
		values (?, ?, ?, 'pending', ?)`, plugin, kind, name, t.now.Format(time.DateTime)))
}

// WithdrawPluginRequest removes a request that nobody decided.
func (t *Tx) WithdrawPluginRequest(plugin, kind, name string) error {
	return classify("removing what a plugin asks for no more", t.exec(`
		delete from datasette_secrets_plugin_requests
		where plugin = ? and kind = ? and name = ? and state = 'pending'`, plugin, kind, name))
}

// DecidePluginRequest changes what became of a request, by whom.
func (t *Tx) DecidePluginRequest(plugin, kind, name, state, by string) error {
	return classify("recording a decision about a plugin", t.exec(`
		update datasette_secrets_plugin_requests set state = ?, decided_at = ?, decided_by = ?
		where plugin = ? and kind = ? and name = ?`,
		state, t.now.Format(time.DateTime), orNull(by), plugin, kind, name))
}

// RecordPluginDecision adds a decision, at the time of the transaction.
func (t *Tx) RecordPluginDecision(d PluginDecision) error {
	return classify("recording a decision about a plugin", t.exec(`
		insert into datasette_secrets_plugin_decisions (time, actor_id, proof, plugin, decision, kind, name, hash)
		values (?, ?, ?, ?, ?, ?, ?, ?)`,
		t.now.Format(time.DateTime), orNull(d.ActorID), orNull(d.Proof), d.Plugin, d.Decision,
		orNull(d.Kind), orNull(d.Name), orNull(d.Hash)))
}
