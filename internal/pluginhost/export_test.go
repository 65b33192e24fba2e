package pluginhost

// ParseLine is parseLine for the tests.
var ParseLine = parseLine

// CheckHandshake is checkHandshake for the tests.
var CheckHandshake = checkHandshake

// NewBucket is newBucket for the tests.
var NewBucket = newBucket

// Take is take for the tests.
func (b *bucket) Take() bool { return b.take() }

// The limits on one log line.
const (
	MaxLine   = maxLine
	MaxFields = maxFields
)

// Text is what the entry says, in all its parts.
func (e entry) Text() (message string, fields map[string]string) {
	fields = map[string]string{}
	for _, attr := range e.attrs {
		for _, field := range attr.Value.Group() {
			fields[field.Key] = field.Value.String()
		}
	}
	return e.message, fields
}

// Level is the entry's level by name.
func (e entry) Level() string { return e.level.String() }
