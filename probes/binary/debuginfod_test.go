package binary

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gotrace/gotrace/tests/testkit"
)

// TestDebuginfod looks up names in a stripped program with a debug file from a server.
func TestDebuginfod(t *testing.T) {
	_, noFind := exec.LookPath("debuginfod-find")
	_, noCurl := exec.LookPath("curl")
	if noFind != nil && noCurl != nil {
		t.Skip("needs debuginfod-find or curl")
	}
	src, err := filepath.Abs("testdata/inlined.c")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	exe, debug := filepath.Join(dir, "p"), filepath.Join(dir, "elsewhere")
	testkit.Run(t, dir, "gcc", "-g", "-O1", "-Wl,--build-id", "-o", exe, src)
	whole, err := Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	pc, id := callOf(t, whole, "work", "leaf"), whole.BuildID()
	whole.Close()
	testkit.Run(t, dir, "objcopy", "--only-keep-debug", exe, debug)
	testkit.Run(t, dir, "objcopy", "--strip-all", exe)

	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/buildid/" + id + "/debuginfo":
			http.ServeFile(w, r, debug)
		case "/buildid/" + strings.Repeat("ab", 20) + "/debuginfo":
			http.Error(w, "damaged", http.StatusOK)
		case "/buildid/" + strings.Repeat("cd", 20) + "/debuginfo":
			select { // never answers
			case <-r.Context().Done():
			case <-time.After(time.Minute):
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	cache := filepath.Join(dir, "cache")
	for name, value := range map[string]string{"DEBUGINFOD_URLS": server.URL, "DEBUGINFOD_CACHE_PATH": cache, "DEBUGINFOD_TIMEOUT": "600", "HOME": dir} {
		t.Setenv(name, value)
	}
	var log strings.Builder
	client := NewDebuginfod(os.Getenv, &log)
	for range 2 { // the second time from the cache
		x, err := Open(exe)
		if err != nil {
			t.Fatal(err)
		}
		x.Where.Fetch = client.Fetch
		if got, want := frameText(x.Frames(pc)), "[inlined] inner@inlined.c:13 [inlined] outer@inlined.c:18 work@inlined.c:23"; got != want {
			t.Errorf("frames %q, want %q", got, want)
		}
		x.Close()
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
	for range 2 {
		if path := client.Fetch(strings.Repeat("ef", 20)); path != "" {
			t.Errorf("a file that does not exist is %s", path)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the server was asked %d times", n)
	}
	if x, err := Open(exe); err == nil {
		if path := client.Fetch(strings.Repeat("ab", 20)); x.openDebugFile(path, x.BuildID()) != nil {
			t.Error("a damaged file was opened")
		}
	}
	t.Setenv("DEBUGINFOD_TIMEOUT", "2")
	client = NewDebuginfod(os.Getenv, &log)
	began := time.Now()
	if path := client.Fetch(strings.Repeat("cd", 20)); path != "" {
		t.Errorf("a server that does not answer has %s", path)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("waited %v", took)
	}
	if client.Fetch(strings.Repeat("12", 20)) != "" || !strings.Contains(log.String(), "DEBUGINFOD_TIMEOUT") {
		t.Errorf("after the time is over: %q", log.String())
	}
	if NewDebuginfod(func(string) string { return "" }, nil) != nil {
		t.Error("a client without servers")
	}
}
