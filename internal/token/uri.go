package token

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxURI bounds the length of a URI, in bytes.
const maxURI = 4096

// URI is a PKCS#11 URI (RFC 7512): which module, which token, which object. An
// empty attribute selects nothing.
type URI struct {
	// The slot and token.
	Token, Manufacturer, Model, Serial string
	SlotDescription, SlotManufacturer  string
	SlotID                             *uint `json:",omitempty"`
	// The library behind the module.
	LibraryManufacturer, LibraryDescription, LibraryVersion string
	// The object.
	Object string
	ID     []byte `json:",omitempty"`
	Type   string // "secret-key", "private", "public" or empty

	ModulePath string
	PINFile    string `json:",omitempty"` // from pin-source
	PINEnv     string `json:",omitempty"` // from pin-source=env:NAME
}

// ParseURI reads a URI. pin-value is refused: a URI is written into
// configurations and command lines, which others see.
func ParseURI(text string) (URI, error) {
	u, err := parseURI(text)
	if err != nil {
		return URI{}, fmt.Errorf("the PKCS#11 URI %w", err)
	}
	return u, nil
}

func parseURI(text string) (URI, error) {
	if len(text) > maxURI {
		return URI{}, fmt.Errorf("has %d bytes, at most %d are allowed", len(text), maxURI)
	}
	rest, ok := cutScheme(text)
	if !ok {
		return URI{}, errors.New("must begin with pkcs11:")
	}
	path, query, _ := strings.Cut(rest, "?")
	var u URI
	if err := eachAttribute(path, ";", u.setPath); err != nil {
		return URI{}, err
	}
	if err := eachAttribute(query, "&", u.setQuery); err != nil {
		return URI{}, err
	}
	return u, nil
}

func cutScheme(text string) (string, bool) {
	const scheme = "pkcs11:"
	if len(text) < len(scheme) || !strings.EqualFold(text[:len(scheme)], scheme) {
		return "", false
	}
	return text[len(scheme):], true
}

// eachAttribute splits one part of the URI, and refuses an attribute that is
// given twice.
func eachAttribute(part, separator string, set func(name, value string) error) error {
	if part == "" {
		return nil
	}
	var seen []string
	for _, attribute := range strings.Split(part, separator) {
		name, encoded, ok := strings.Cut(attribute, "=")
		if !ok || name == "" {
			return errors.New(`must consist of name=value attributes, with ";" between those of the path and "&" between those of the query`)
		}
		if slices.Contains(seen, name) {
			return fmt.Errorf("gives %s twice", shown(name))
		}
		seen = append(seen, name)
		value, err := url.PathUnescape(encoded)
		if err != nil {
			return fmt.Errorf("has a %% in %s that is not followed by two hexadecimal digits", shown(name))
		}
		if err := set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// shown is the name of an attribute for an error. An unknown one may be a PIN
// that stands in a wrong place.
func shown(name string) string {
	if slices.Contains(attributes(), name) {
		return name
	}
	return "an attribute"
}

func attributes() []string {
	return []string{
		"token", "manufacturer", "model", "serial", "slot-description", "slot-manufacturer", "slot-id",
		"library-manufacturer", "library-description", "library-version", "object", "id", "type",
		"module-path", "module-name", "pin-source", "pin-value",
	}
}

func (u *URI) setPath(name, value string) error {
	if name == "id" {
		u.ID = []byte(value)
		return nil
	}
	if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return fmt.Errorf("has a %s that is not text", shown(name))
	}
	switch name {
	case "token":
		u.Token = value
	case "manufacturer":
		u.Manufacturer = value
	case "model":
		u.Model = value
	case "serial":
		u.Serial = value
	case "slot-description":
		u.SlotDescription = value
	case "slot-manufacturer":
		u.SlotManufacturer = value
	case "slot-id":
		id, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return errors.New("has a slot-id that is no number")
		}
		slot := uint(id)
		u.SlotID = &slot
	case "library-manufacturer":
		u.LibraryManufacturer = value
	case "library-description":
		u.LibraryDescription = value
	case "library-version":
		u.LibraryVersion = value
	case "object":
		u.Object = value
	case "type":
		if !slices.Contains([]string{"secret-key", "private", "public"}, value) {
			return errors.New("has a type that is not secret-key or private: only such keys can wrap")
		}
		u.Type = value
	default:
		return fmt.Errorf("has an attribute in its path that is none of: %s", strings.Join(attributes()[:13], ", "))
	}
	return nil
}

func (u *URI) setQuery(name, value string) error {
	if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return fmt.Errorf("has a %s that is not text", shown(name))
	}
	switch name {
	case "module-path":
		if !filepath.IsAbs(value) {
			return errors.New("has a module-path that is not absolute; which file would be loaded must not depend on the working directory")
		}
		u.ModulePath = value
	case "module-name":
		return errors.New("names its module by module-name; give the path of the file, such as module-path=/usr/lib/softhsm/libsofthsm2.so")
	case "pin-source":
		return u.setPINSource(value)
	case "pin-value":
		return errors.New("has a pin-value, which others can see; use pin-source=file:PATH")
	default:
		return errors.New("has an attribute in its query that is none of: module-path, pin-source")
	}
	return nil
}

func (u *URI) setPINSource(value string) error {
	if name, ok := strings.CutPrefix(value, "env:"); ok {
		if name == "" {
			return errors.New("has a pin-source that names no environment variable")
		}
		u.PINEnv = name
		return nil
	}
	path := strings.TrimPrefix(value, "file:")
	if rest, ok := strings.CutPrefix(path, "//"); ok { // file://host/path, of which only the local host makes sense
		path = "/" + strings.TrimLeft(rest, "/")
	}
	if !filepath.IsAbs(path) {
		return errors.New("has a pin-source that is neither file: with an absolute path nor env:NAME")
	}
	u.PINFile = path
	return nil
}

// String writes the URI in one canonical form.
func (u URI) String() string {
	var path, query []string
	add := func(to *[]string, name, value string) {
		if value != "" {
			*to = append(*to, name+"="+escape(value))
		}
	}
	add(&path, "library-manufacturer", u.LibraryManufacturer)
	add(&path, "library-description", u.LibraryDescription)
	add(&path, "library-version", u.LibraryVersion)
	if u.SlotID != nil {
		add(&path, "slot-id", strconv.FormatUint(uint64(*u.SlotID), 10))
	}
	add(&path, "slot-description", u.SlotDescription)
	add(&path, "slot-manufacturer", u.SlotManufacturer)
	add(&path, "token", u.Token)
	add(&path, "manufacturer", u.Manufacturer)
	add(&path, "model", u.Model)
	add(&path, "serial", u.Serial)
	add(&path, "object", u.Object)
	if len(u.ID) > 0 {
		path = append(path, "id="+escapeAll(u.ID))
	}
	add(&path, "type", u.Type)
	add(&query, "module-path", u.ModulePath)
	if u.PINFile != "" {
		add(&query, "pin-source", "file:"+u.PINFile)
	}
	if u.PINEnv != "" {
		add(&query, "pin-source", "env:"+u.PINEnv)
	}
	text := "pkcs11:" + strings.Join(path, ";")
	if len(query) > 0 {
		text += "?" + strings.Join(query, "&")
	}
	return text
}

// escape encodes everything but letters, digits and a few signs that neither
// part of a URI gives a meaning.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~/:,", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString(escapeAll([]byte{c}))
	}
	return b.String()
}

func escapeAll(data []byte) string {
	var b strings.Builder
	for _, c := range data {
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	return b.String()
}
