package live

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Trees are directories with programs and the files that these need: debug information in
// one of its places, or a root directory with a C library.

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
	{name: "shared by dwz", flags: "-gdwarf-5", make: "gcc -gdwarf-5 -O2 -o q d.c; dwz -5 -m shared.debug p q"},
	{name: "debuginfod", flags: "-g", make: "$STRIP; mv p.debug served"},
}

// tree returns the name of the tree of a place.
func (p *debugPlace) tree() string {
	return "debug-" + regexp.MustCompile(`\W+`).ReplaceAllString(p.name, "-")
}

// script returns the commands that build the program p, static if it is for guests, and
// move its debug information to its place.
func (p *debugPlace) script(static bool) string {
	link := "gcc -Wl,--build-id -o p p.o"
	if static {
		link += " -static"
	}
	script := "gcc -O1 -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer -c -o p.o " + p.flags + " d.c; " + link + "; " + p.make
	for name, text := range map[string]string{
		"$STRIP": "objcopy --only-keep-debug p p.debug; objcopy --strip-all p",
		"$LINK":  "objcopy --add-gnu-debuglink=p.debug p",
		"$ID":    `id=$(readelf -n p | sed -n 's/.*Build ID: //p'); a=$(echo $id | cut -c1-2); b=$(echo $id | cut -c3-)`,
	} {
		script = strings.ReplaceAll(script, name, text)
	}
	return script
}

// The root directories have programs in app, and the libraries that they load.
const (
	rootPrograms = `mkdir app; CC -O2 -fomit-frame-pointer -o app/places SRC/places.c; CC -O2 -fomit-frame-pointer -rdynamic -o app/loads SRC/loads.c -ldl
		for i in 1 2; do CC -O2 -fomit-frame-pointer -shared -fPIC -DNUMBER=$i -o app/$i.so SRC/loaded.c; done; `
	rootGlibc = rootPrograms + `cp -L --parents $(ldd app/loads | grep -o '/[^ ]*') .`
	rootMusl  = rootPrograms + `cp -L --parents $(readelf -l app/loads | sed -n 's/.*interpreter: \(.*\)]/\1/p') .`
)

// trees returns the commands that build each tree in its directory. The directory SRC has the
// sources.
func trees() map[string]func(static bool) string {
	all := map[string]func(bool) string{
		"root-glibc": func(bool) string { return strings.ReplaceAll(rootGlibc, "CC ", "gcc ") },
		"root-musl":  func(bool) string { return strings.ReplaceAll(rootMusl, "CC ", "musl-gcc ") },
	}
	for i := range debugPlaces {
		all[debugPlaces[i].tree()] = debugPlaces[i].script
	}
	return all
}

// errNoTool is the error for a tree that needs a tool that is not there.
var errNoTool = errors.New("a tool is missing or too old")

// buildTree builds a tree from the sources in dir.
func buildTree(dir, name, out string, static bool) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	source, err := os.ReadFile(filepath.Join(dir, "debug.c"))
	if err == nil {
		err = os.WriteFile(filepath.Join(out, "d.c"), source, 0o644)
	}
	if err != nil {
		return err
	}
	script := strings.ReplaceAll(trees()[name](static), "SRC", dir)
	cmd := exec.Command("sh", "-c", "set -e; "+script)
	cmd.Dir = out
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s: %v\n%s", errNoTool, name, err, msg)
	}
	return nil
}
