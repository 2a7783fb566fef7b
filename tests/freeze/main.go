// Command freeze creates the frozen kernels in tests/kernels, for which the golden
// corpus is compiled:
//
//	go run ./tests/freeze [KERNEL ...]
//
// It creates those of the kernels of package vm in guests. It also freezes the running
// kernel if that is named, or if a frozen kernel of the same release exists.
// tests/kernels/corpus.txt lists the contents of a frozen kernel.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/tests/vm"
)

const dir = "tests/kernels"

func main() {
	guest := flag.String("guest", "", "freeze the running kernel for the names in this `file`, and print it in base64")
	flag.Parse()
	var err error
	if *guest != "" {
		err = inGuest(*guest)
	} else {
		err = run(flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "freeze:", err)
		os.Exit(1)
	}
}

func run(only []string) error {
	self, err := os.MkdirTemp("", "gotrace-freeze-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(self)
	binary := filepath.Join(self, "freeze")
	build := exec.Command("go", "build", "-o", binary, "./tests/freeze")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	corpus := filepath.Join(dir, "corpus.txt")
	live := kernel.Live().Release()
	here := fmt.Sprintf("%d.%d", live.Major, live.Minor)
	if _, err := os.Stat(path(here)); err == nil && len(only) == 0 || slices.Contains(only, here) {
		out, err := exec.Command(binary, "-guest", corpus).Output()
		if err := save(here, out, err); err != nil {
			return err
		}
	}
	for _, k := range vm.Kernels() {
		if len(only) > 0 && !slices.Contains(only, k.Name) {
			continue
		}
		if err := vm.Setup(); err != nil {
			return err
		}
		var out bytes.Buffer
		g := vm.Guest{
			Kernel:  k,
			Files:   []vm.File{{Src: binary, Dst: "/freeze"}, {Src: corpus, Dst: "/corpus"}},
			Command: []string{"/freeze", "-guest", "/corpus"},
			Append:  "nokaslr", // the same symbols every time
			Out:     &out,
		}
		status, err := g.Run(context.Background())
		if err == nil && status != 0 {
			err = fmt.Errorf("exit status %d: %s", status, out.Bytes())
		}
		if err := save(k.Name, out.Bytes(), err); err != nil {
			return err
		}
	}
	return nil
}

func path(name string) string { return filepath.Join(dir, name+".zip") }

func save(name string, encoded []byte, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(encoded)))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Println(path(name), len(data), "bytes")
	return os.WriteFile(path(name), data, 0o644)
}

func inGuest(names string) error {
	text, err := os.ReadFile(names)
	if err != nil {
		return err
	}
	corpus, err := parseCorpus(string(text))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := kernel.Live().Freeze(&out, corpus); err != nil {
		return err
	}
	fmt.Println(base64.StdEncoding.EncodeToString(out.Bytes()))
	return nil
}

// parseCorpus parses lines of the form "kind name".
func parseCorpus(text string) (c kernel.Corpus, err error) {
	lists := map[string]*[]string{
		"type":          &c.Types,
		"function":      &c.Functions,
		"tracepoint":    &c.Tracepoints,
		"rawtracepoint": &c.RawTracepoints,
		"iterator":      &c.Iterators,
		"symbol":        &c.Symbols,
		"kfunc":         &c.Kfuncs,
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		kind, name, _ := strings.Cut(line, " ")
		list := lists[kind]
		if list == nil || name == "" {
			return c, fmt.Errorf("corpus: unknown line %q", line)
		}
		*list = append(*list, name)
	}
	return c, nil
}
