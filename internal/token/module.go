package token

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

// why returns the reason why a library cannot be loaded, or null.
static char *why(const char *path) {
	void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	if (library == NULL)
		return dlerror();
	if (dlsym(library, "C_GetFunctionList") == NULL)
		return "it is no PKCS#11 module: it has no C_GetFunctionList";
	return NULL;
}
*/
import "C"

import (
	"fmt"
	"os"
	"strings"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// module is a loaded and initialized module.
type module struct {
	*pkcs11.Ctx
	uri  URI
	info pkcs11.Info
}

// load loads the module that a URI names into this process.
func load(u URI) (*module, error) {
	if u.ModulePath == "" {
		return nil, setup("the PKCS#11 URI has no module-path, such as module-path=/usr/lib/softhsm/libsofthsm2.so")
	}
	if _, err := os.Stat(u.ModulePath); err != nil {
		return nil, &Failure{Class: ClassModule, Text: fmt.Sprintf("loading the PKCS#11 module: %v", err)}
	}
	if reason := whyNot(u.ModulePath); reason != "" {
		return nil, &Failure{Class: ClassModule, Text: "loading the PKCS#11 module: " + reason}
	}
	m := &module{Ctx: pkcs11.New(u.ModulePath), uri: u}
	if m.Ctx == nil {
		return nil, &Failure{Class: ClassModule, Text: "loading the PKCS#11 module " + u.ModulePath + " failed"}
	}
	if err := failed("C_Initialize", m.Initialize()); err != nil {
		return nil, fmt.Errorf("starting the PKCS#11 module: %w", err)
	}
	info, err := m.GetInfo()
	if err != nil {
		return nil, fmt.Errorf("asking the PKCS#11 module what it is: %w", failed("C_GetInfo", err))
	}
	m.info = info
	return m, nil
}

func whyNot(path string) string {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	return C.GoString(C.why(name))
}

// library describes the library, such as "SoftHSM: Implementation of PKCS11 2.6".
func (m *module) library() string {
	return fmt.Sprintf("%s: %s %s", trim(m.info.ManufacturerID), trim(m.info.LibraryDescription), version(m.info.LibraryVersion))
}

// version writes a version as PKCS#11 means it.
func version(v pkcs11.Version) string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// trim takes off what fills up the fixed fields of PKCS#11.
func trim(text string) string { return strings.TrimRight(text, " \x00") }
