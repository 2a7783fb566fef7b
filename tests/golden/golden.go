// Package golden is a corpus of scripts with the results of compiling them.
//
// A case is a file (see package cases). The directories are topics. The section
// source.bt is the script. The test compiles it for a frozen kernel and compares the
// result with the other sections: plan, ir and opt as -d prints them, and cost (the
// size and stack use of each program), or errors, and warnings if there are any. A case
// with the flag asm records the instructions as well. The test then compiles the script
// for the other frozen kernels. Differences in cost and instructions are recorded in
// sections such as "cost 5.10" and "asm 5.10", errors in "errors 5.10".
//
// The headers are
//
//	args: A B     positional parameters
//	options: x=1  options after --
//	flags: unsafe, warnings (-k), asm
//	recorder: N   the size of --recorder in bytes, and --until after it
//	kernel: 7     the kernel of the plain sections, if not the usual one
package golden

import (
	"embed"
	"io/fs"
	"path"
	"strings"

	"github.com/gotrace/gotrace/tests/cases"
)

//go:embed */*.txtar
var files embed.FS

// Program is testdata/prog, the target of user probes in the scripts.
//
//go:embed testdata/prog
var Program []byte

// SourceFile is the name of the section with the script.
const SourceFile = "source.bt"

// headers lists the keys of the headers that a case can have.
var headers = []string{"args", "options", "flags", "recorder", "kernel"}

// Sources returns the scripts of the corpus by the names of their cases
// ("map/key-string"). They seed fuzz tests.
func Sources() map[string]string {
	names, err := fs.Glob(files, "*/*.txtar")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	out := make(map[string]string, len(names))
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			panic(err) // the file is embedded
		}
		f, err := cases.Parse(name, data, headers...)
		if err != nil {
			panic(err) // the tests read the same files
		}
		out[strings.TrimSuffix(name, path.Ext(name))] = f.Cases[0].Section(SourceFile)
	}
	return out
}
