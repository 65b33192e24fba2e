package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// PythonSDK is an interpreter in a clean environment with sdk/python installed
// as its users get it: the wheel, and what that depends on. It is made once for
// all test processes.
func PythonSDK(t testing.TB) string {
	t.Helper()
	env := madeOnce(t, "python", []string{"sdk/python", "tests/requirements-wheels.txt"}, func(env string) {
		must(t, exec.Command(Python(t), "-m", "venv", "--without-pip", env))
		InstallPython(t, filepath.Join(env, "bin", "python"), "sdk/python")
	})
	return filepath.Join(env, "bin", "python")
}

// PythonReading are the arguments that let the sandbox of a plugin read the
// libraries of an interpreter, and more folders.
func PythonReading(t testing.TB, name, python string, folders ...string) []string {
	t.Helper()
	return Reading(name, append(folders, PythonFolders(t, python)...)...)
}

// PythonFolders are the folders with the libraries of an interpreter.
func PythonFolders(t testing.TB, python string) []string {
	t.Helper()
	out, err := exec.Command(python, "-c", "import sys; print(sys.prefix); print(sys.base_prefix)").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// InstallPython builds the wheel of the project in a folder of the repository
// and installs it for an interpreter. What it depends on comes from the folder
// that "make test" fills, so that no network is needed.
func InstallPython(t testing.TB, python, folder string) {
	t.Helper()
	wheels := t.TempDir()
	// A copy, for building leaves files in the folder.
	project := filepath.Join(t.TempDir(), "project")
	if err := os.CopyFS(project, os.DirFS(filepath.Join(Root(), folder))); err != nil {
		t.Fatal(err)
	}
	pip := []string{"-m", "pip", "--quiet", "--disable-pip-version-check"}
	must(t, exec.Command(Python(t), append(pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, project)...))
	built, err := filepath.Glob(filepath.Join(wheels, "*.whl"))
	if err != nil || len(built) != 1 {
		t.Fatalf("wheels %v, %v", built, err)
	}
	must(t, exec.Command(Python(t), append(pip, "--python", python, "install", "--no-index",
		"--find-links", filepath.Join(Root(), ".venv", "wheels"), built[0])...))
}

// AddPythonPlugin puts a script of the repository into dir as a plugin that
// the interpreter of PythonSDK runs.
func AddPythonPlugin(t testing.TB, dir, name, script string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Root(), script))
	if err != nil {
		t.Fatal(err)
	}
	WritePythonPlugin(t, dir, name, string(text))
}

// WritePythonPlugin is AddPythonPlugin for the text of a script. Its first line
// is replaced if it names an interpreter.
func WritePythonPlugin(t testing.TB, dir, name, text string) {
	t.Helper()
	if strings.HasPrefix(text, "#!") {
		_, text, _ = strings.Cut(text, "\n")
	}
	path := filepath.Join(dir, "datasette-secrets-plugin-"+name)
	WriteFile(t, path, "#!"+PythonSDK(t)+"\n"+text, 0o755)
}

// must runs a command that has to succeed.
func must(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	cmd.Env = Env()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("running %s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}
