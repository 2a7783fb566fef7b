package live

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDebugPlaces uses debug information from each of its places for arguments by name,
// types, source lines as attach points, usym, stacks with inlined functions, and -lv.
func TestDebugPlaces(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("bpftrace does not support all of this")
	}
	const script = `config = { show_debug_info = 1 }
		uprobe:BIN:work { printf("args %d %d %d\n", args.number, args.p.y, ((struct point *)arg0).x); }
		uprobe:BIN@d.c:7 { printf("%s|%s|%s\n", func, usym(reg("ip")), ustack(2)); }`
	const names = `uprobe:BIN:leaf { printf("%s|%s|%s\n", func, usym(reg("ip")), ustack(1)); }`
	for i, p := range debugPlaces {
		if elsewhere(i) {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			if p.name == "debuginfod" {
				native(t) // programs for the transfer are not in guests
			}
			dir := p.build(t)
			bin := filepath.Join(dir, "p")
			if p.name == "debuginfod" {
				serveDebug(t, dir)
			}
			args := strings.Split(strings.ReplaceAll(strings.Join(p.args, "\n"), "DIR", dir), "\n")
			if p.args == nil {
				args = nil
			}
			use, want := script, []string{"args 7 4 3\n", "[inlined] inner@d.c:7|[inlined] inner@d.c:7|\n        [inlined] inner@d.c:7\n        work+N@d.c:11\n        main+N@d.c:14\n"}
			if p.less {
				use, want = names, []string{"leaf|leaf|\n        leaf+0\n"}
			}
			r := trace(t, append(args, "-q", "-c", bin, "-e", strings.ReplaceAll(use, "BIN", bin))...)
			got := sourceDir.ReplaceAllString(offsetOf.ReplaceAllString(r.stdout, "$1+N"), "@d.c:")
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("no %q in\n%s%s", w, got, r.stderr)
				}
			}
			if p.less {
				return
			}
			r = trace(t, append(args, "-lv", "uprobe:"+bin+":work")...)
			for _, w := range []string{"struct point * p", "int number"} {
				if !strings.Contains(strings.ReplaceAll(r.stdout, "point* ", "point * "), w) {
					t.Errorf("-lv does not print %q:\n%s%s", w, r.stdout, r.stderr)
				}
			}
		})
	}
	t.Run("no server", func(t *testing.T) { // without DEBUGINFOD_URLS
		native(t)
		p := debugPlaces[len(debugPlaces)-1]
		dir := p.build(t)
		asked := serveDebug(t, dir)
		t.Setenv("DEBUGINFOD_URLS", "")
		if r := trace(t, "-c", filepath.Join(dir, "p"), "-e", strings.ReplaceAll(names, "BIN", filepath.Join(dir, "p"))); r.status == 0 || *asked {
			t.Errorf("status %d, the server was asked: %v\n%s%s", r.status, *asked, r.stdout, r.stderr)
		}
	})
}

// sourceDir matches the directory of the source, which is not the tree's in a guest.
var sourceDir = regexp.MustCompile(`@/[^@|\n]*/d\.c:`)

var offsetOf = regexp.MustCompile(`(main|work)\+\d+`)

// build returns the directory of a program p with its debug information in the place.
func (p *debugPlace) build(t *testing.T) (dir string) {
	t.Helper()
	return tree(t, p.tree())
}

// serveDebug starts a server of the debug file DIR/served, whatever its build ID, and names it
// in the environment. The result becomes true when the server is asked.
func serveDebug(t *testing.T, dir string) *bool {
	t.Helper()
	asked := new(bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = true
		if strings.HasSuffix(r.URL.Path, "/debuginfo") {
			http.ServeFile(w, r, filepath.Join(dir, "served"))
		} else {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("DEBUGINFOD_URLS", server.URL)
	t.Setenv("DEBUGINFOD_CACHE_PATH", filepath.Join(dir, "cache"))
	return asked
}
