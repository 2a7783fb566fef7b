package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/tests/vm"
)

// costDir holds the recorded work of each verifier, in one file per kernel release.
const costDir = "tests/live/testdata/verified"

// costScript is the script of a guest. It prints the kernel release, then the work of
// its verifier.
const costScript = `
cd /t
./live.test -test.run '^TestLoads$' -costs /t/costs -gotrace /bin/true -work /bin/true >/t/out 2>&1 || { cat /t/out; exit 1; }
uname -r
cat /t/costs`

// recordCosts records the work of the verifiers of this kernel and of the guests'.
func (r *run) recordCosts() error {
	test := filepath.Join(r.dir, "live.test")
	if out, err := r.first([]string{"go", "test", "-c", "-o", test, "./tests/live"}); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	record := func(name string, measure func() (string, error)) {
		if !r.wants(name) {
			return
		}
		out, err := measure()
		if err == nil {
			err = writeCosts(out)
		}
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	wg.Go(func() {
		record("live", func() (string, error) { return r.costsHere(test) })
	})
	if err := vm.Setup(); err != nil {
		errs = append(errs, err)
	} else {
		for _, k := range r.kernels {
			record(k.Name, func() (string, error) {
				var out bytes.Buffer
				g := vm.Guest{
					Kernel: k, Files: []vm.File{{Src: test, Dst: "/t/live.test"}},
					Command: []string{"sh", "-c", costScript}, Out: &out, Timeout: 10 * time.Minute,
				}
				status, err := g.Run(r.ctx)
				if err == nil && status != 0 {
					err = fmt.Errorf("exit status %d\n%s", status, &out)
				}
				return out.String(), err
			})
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// costsHere returns this kernel's release and the work of its verifier.
func (r *run) costsHere(test string) (string, error) {
	file := filepath.Join(r.dir, "costs")
	if out, err := r.output(test, "-test.run", "^TestLoads$", "-costs", file, "-gotrace", "/bin/true", "-work", "/bin/true"); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	table, err := os.ReadFile(file)
	var u unix.Utsname
	if err := errors.Join(err, unix.Uname(&u)); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(u.Release[:]) + "\n" + string(table), nil
}

// writeCosts writes a table of costs to the file of its release. out is a line with the
// release, followed by the table.
func writeCosts(out string) error {
	release, table, _ := strings.Cut(strings.ReplaceAll(out, "\r", ""), "\n")
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("no kernel release: %q", release)
	}
	return os.WriteFile(filepath.Join(costDir, fmt.Sprintf("%d.%d.txt", major, minor)), []byte(table), 0o644)
}
