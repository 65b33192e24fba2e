package host

import (
	"context"
	"errors"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// KeyFile is the file that holds the encryption keys, one in a line, if the
// configuration names such a file and the keys are not sealed. Only then can
// keys be added and retired without a change of the configuration.
func (k *Keys) KeyFile() string {
	origins, whole := k.base.loaded.KeyOrigins()
	if !whole || k.sealed {
		return ""
	}
	return origins[0].File
}

// Sealed reports whether the keys are those of a sealed keyring in the
// database, open or not.
func (k *Keys) Sealed() bool { return k.sealed }

// Origins says for each key, the encrypting one first, where it comes from.
func (k *Keys) Origins(keys []vault.KeyUse) []string {
	all := make([]string, len(keys))
	origins, whole := k.base.loaded.KeyOrigins()
	for i := range all {
		switch {
		case k.sealed:
			all[i] = "sealed in the database"
		case whole && len(all) > 1:
			all[i] = fmt.Sprintf("%s, line %d", origins[0], i+1)
		case i < len(origins):
			all[i] = origins[i].String()
		}
	}
	return all
}

// AddKey puts a key in front of the others: the text of one, or a random one if
// the text is empty. It returns the key's name. The keys have to be sealed and
// open, or in a key file.
func (k *Keys) AddKey(ctx context.Context, text secrets.Value) (name string, err error) {
	if k.sealed {
		return k.addSealed(ctx, text)
	}
	path, ring := k.KeyFile(), k.base.source.current()
	if path == "" || ring == nil {
		return "", k.notOurs()
	}
	if text.Len() == 0 {
		if text, err = NewKey(); err != nil {
			return "", err
		}
	}
	name = fmt.Sprintf("k%d", len(ring.Names())+1) // as it will be called
	err = k.Door().AddKey(ctx, Operator(), name, func() error { return keyring.AddToFile(path, text, ring) })
	if err != nil {
		return "", err
	}
	return name, k.Door().RefreshKeys(ctx)
}

// NewKey returns a random encryption key.
func NewKey() (secrets.Value, error) {
	text, err := keyring.Generate()
	return secrets.NewValue(text), err
}

func (k *Keys) addSealed(ctx context.Context, text secrets.Value) (string, error) {
	if text.Len() == 0 {
		return k.Door().AddSealedKey(ctx, Operator(), nil)
	}
	return k.Door().AddSealedKey(ctx, Operator(), keyring.Fill(text))
}

// notOurs says that somebody else keeps the keys.
func (k *Keys) notOurs() error {
	origins, _ := k.base.loaded.KeyOrigins()
	if len(origins) == 0 {
		return fmt.Errorf("%w; make a key with: datasette-secrets key add --out FILE", secrets.ErrNotConfigured)
	}
	return fmt.Errorf("%w: the configuration names its keys one by one, and this program does not change it; make a new key with: datasette-secrets key add --out FILE", secrets.ErrInvalid)
}

// RetireKey takes a key away that no row needs, and names the rows' keys anew
// where that changes what the others are called. The name may be the key's id.
// It reports whether the key is gone; otherwise the configuration names it, and
// it is only proven that it can be taken out there.
func (k *Keys) RetireKey(ctx context.Context, name string, abandon bool) (gone bool, err error) {
	door := k.Door()
	if name, err = door.KeyNamed(ctx, name); err != nil {
		return false, err
	}
	if k.sealed {
		return true, door.RetireSealed(ctx, Operator(), name, abandon)
	}
	path, ring := k.KeyFile(), k.base.source.current()
	if path == "" {
		return false, door.Retire(ctx, Operator(), name, abandon, nil)
	}
	err = door.Retire(ctx, Operator(), name, abandon, func() error { return keyring.DropFromFile(path, name, ring) })
	if err != nil {
		return false, err
	}
	_, err = door.Rotate(ctx, Operator(), nil)
	if abandon && errors.Is(err, secrets.ErrIntegrity) {
		err = nil // those were given up
	}
	return true, err
}
