package live

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// debugSource is a program with all that debug information is used for. The numbers of the
// lines are in the results.
const debugSource = `volatile int sink;
struct point { int x, y; };
__attribute__((noinline)) void leaf(int v) { sink += v; }
static inline __attribute__((always_inline)) void inner(int v)
{
	leaf(v);
	sink++;
}
__attribute__((noinline)) void work(struct point *p, int number)
{
	inner(number + p->x);
	sink++;
}
int main(void) { struct point p = {3, 4}; work(&p, 7); return 0; }
`

// debugPlace is a form of debug information and a place for it.
type debugPlace struct {
	name, flags string
	make        string   // commands of a shell, in the directory of the program p
	args        []string // of gotrace. DIR is that directory
	less        bool     // only names are known
}

var debugPlaces = []debugPlace{
	{name: "program", flags: "-gdwarf-5"},
	{name: "DWARF 4", flags: "-gdwarf-4"},
	{name: "64-bit DWARF", flags: "-gdwarf-5 -gdwarf64"},
	{name: "zlib", flags: "-g", make: "objcopy --compress-debug-sections=zlib p"},
	{name: "zstd", flags: "-g", make: "objcopy --compress-debug-sections=zstd p"},
	{name: "link beside", flags: "-g", make: "$STRIP; $LINK"},
	{name: "link .debug", flags: "-g", make: "$STRIP; $LINK; mkdir .debug; mv p.debug .debug"},
	{name: "link directory", flags: "-g", make: "$STRIP; $LINK; mkdir d; mv p.debug d", args: []string{"--debuginfo", "DIR/d"}},
	{name: "build ID directory", flags: "-g", make: "$STRIP; $ID; mkdir -p d/.build-id/$a; mv p.debug d/.build-id/$a/$b.debug", args: []string{"--debuginfo", "/nowhere:DIR/d"}},
	{name: "build ID as the name", flags: "-g", make: "$STRIP; $ID; mkdir d; mv p.debug d/$id.debug", args: []string{"--debuginfo", "/nowhere", "--debuginfo", "DIR/d"}},
	{name: "program's name", flags: "-g", make: "$STRIP; mkdir d; mv p.debug d", args: []string{"--debuginfo", "DIR/d"}},
	{name: "MiniDebugInfo", flags: "-g", less: true, make: "objcopy --only-keep-debug p m; objcopy --strip-debug m; xz m; objcopy --strip-all --add-section .gnu_debugdata=m.xz p"},
	{name: ".dwo", flags: "-gdwarf-5 -gsplit-dwarf"},
	{name: ".dwo directory", flags: "-gdwarf-5 -gsplit-dwarf", make: "mkdir d; mv *.dwo d", args: []string{"--debuginfo", "DIR/d"}},
	{name: ".dwp", flags: "-gdwarf-4 -gsplit-dwarf", make: "dwp -e p -o p.dwp; rm *.dwo"},
	{name: "debuginfod", flags: "-g", make: "$STRIP; mv p.debug served"},
}

// TestDebugPlaces uses debug information from each of its places for arguments by name,
// types, source lines as attach points, usym, stacks with inlined functions, and -lv.
func TestDebugPlaces(t *testing.T) {
	native(t)
	needRoot(t)
	if *peer {
		t.Skip("bpftrace does not support all of this")
	}
	const script = `config = { show_debug_info = 1 }
		uprobe:BIN:work { printf("args %d %d %d\n", args.number, args.p.y, ((struct point *)arg0).x); }
		uprobe:BIN@d.c:7 { printf("%s|%s|%s\n", func, usym(reg("ip")), ustack(2)); }`
	const names = `uprobe:BIN:leaf { printf("%s|%s|%s\n", func, usym(reg("ip")), ustack(1)); }`
	for _, p := range debugPlaces {
		t.Run(p.name, func(t *testing.T) {
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
			got := offsetOf.ReplaceAllString(strings.ReplaceAll(r.stdout, dir+"/", ""), "$1+N")
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
		p := debugPlaces[len(debugPlaces)-1]
		dir := p.build(t)
		asked := serveDebug(t, dir)
		t.Setenv("DEBUGINFOD_URLS", "")
		if r := trace(t, "-c", filepath.Join(dir, "p"), "-e", strings.ReplaceAll(names, "BIN", filepath.Join(dir, "p"))); r.status == 0 || *asked {
			t.Errorf("status %d, the server was asked: %v\n%s%s", r.status, *asked, r.stdout, r.stderr)
		}
	})
}

var offsetOf = regexp.MustCompile(`(main|work)\+\d+`)

// build compiles the program DIR/p and moves its debug information to its place.
func (p *debugPlace) build(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "d.c"), []byte(debugSource), 0o600); err != nil {
		t.Fatal(err)
	}
	script := "set -e; gcc -O1 -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer -c -o p.o " + p.flags + " d.c; gcc -Wl,--build-id -o p p.o; " + p.make
	for name, text := range map[string]string{
		"$STRIP": "objcopy --only-keep-debug p p.debug; objcopy --strip-all p",
		"$LINK":  "objcopy --add-gnu-debuglink=p.debug p",
		"$ID":    `id=$(readelf -n p | sed -n 's/.*Build ID: //p'); a=$(echo $id | cut -c1-2); b=$(echo $id | cut -c3-)`,
	} {
		script = strings.ReplaceAll(script, name, text)
	}
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	return dir
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
