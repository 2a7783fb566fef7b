package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gotrace/gotrace/tests/live"
	"github.com/gotrace/gotrace/tests/vm"
)

// guests runs the tests of the guests, with the programs of buildLive and more.
func (r *run) guests() {
	if err := vm.Setup(); err != nil {
		r.leave("live tests on other kernels: %v", err)
		return
	}
	fixtures := r.in("fixtures")
	built := r.check("build for the guests", func() (string, error) {
		if err := os.Mkdir(fixtures, 0o755); err != nil {
			return "", err
		}
		out, err := r.first(
			[]string{"go", "test", "-c", "-o", r.in("probes.test"), "./probes"},
			[]string{"go", "test", "-c", "-o", r.in("generate.test"), "./tests/generate"},
			[]string{"go", "test", "-c", "-o", r.in("bpf.test"), "./codegen/bpf"},
			[]string{"go", "build", "-o", r.in("gotarget"), "./probes/testdata/target"},
			[]string{"gcc", "-O1", "-static", "-o", r.in("ctarget"), "probes/testdata/target.c"})
		return out, errors.Join(err, live.BuildFixtures("tests/live/testdata/params", fixtures))
	})
	if built {
		r.liveGuests()
	}
}

// guestScript is the script of a guest. It runs the live tests, and tests of other
// packages that need a kernel. In emulation, long tests run in a shorter form. LATER are
// tests that take minutes all the same: the ends of sessions and the failure of each
// system call, which test this process more than the kernel, and the largest tables. With
// -nightly they are not left out, and MORE makes the generator draw a larger sample. PART
// leaves out three quarters of the rows of the long tables and most generated programs,
// and SHARE the tests that other guests run. A program that does not end within LIMIT
// prints the test that it hangs in.
const guestScript = `
cd /t
t="-test.v=test2json -test.short -test.timeout=LIMIT"
status=0
./live.test $t LATER PART SHARE -gotrace /t/gotrace -work /t/gtwork -fixtures /t/fixtures || status=1
PROBES_GO_TARGET=/t/gotarget PROBES_C_TARGET=/t/ctarget ./probes.test $t -test.run '^TestLive' || status=1
./generate.test $t MORE PART -test.run '^TestLoadsAndEnds$|^TestValues$' || status=1
GOTRACE_SEEDS=0-40 ./bpf.test $t -test.run '^TestDifferential$|^TestForms' || status=1
exit $status`

// loader is the dynamic loader of the C library.
const loader = "/lib64/ld-linux-x86-64.so.2"

// liveGuests runs the live tests in guests, two at a time, with the programs
// built before.
func (r *run) liveGuests() {
	var files []vm.File
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "staticcheck" {
			files = append(files, vm.File{Src: path, Dst: "/t" + strings.TrimPrefix(path, r.dir)})
		}
		return err
	})
	if err != nil {
		r.leave("live tests on other kernels: %v", err)
		return
	}
	if _, err := os.Stat(loader); err == nil { // for programs that are not at a fixed address
		files = append(files, vm.File{Src: loader, Dst: loader})
	}
	timeout, limit := time.Hour, "25m" // a busy machine takes long
	later, more := "-test.skip '^TestFaults$|^TestEnd|^TestShapes$|^TestTexts$|^TestPolicyKilled$'", ""
	if r.nightly {
		later, more, timeout, limit = "-all", "-more 12", 4*time.Hour, "2h"
	}
	var tests []string
	if !r.check("list of the live tests", func() (string, error) {
		list, err := r.output(r.in("live.test"), "-test.list", "^Test", "-gotrace", r.in("gotrace"), "-work", r.in("gtwork"))
		tests = strings.Fields(list)
		return list, err
	}) {
		return
	}
	slots := make(chan bool, 2)
	var wg sync.WaitGroup
	for i, k := range r.kernels {
		if !r.wants(k.Name) {
			continue
		}
		part, mine := "", ""
		if !r.nightly {
			part = fmt.Sprint("-part ", i%4)
			mine = "-test.run '^(" + strings.Join(share(tests, i), "|") + ")$'"
		}
		guest := []string{"sh", "-c", strings.NewReplacer("LATER", later, "MORE", more, "PART", part, "SHARE", mine, "LIMIT", limit).Replace(guestScript)}
		slots <- true
		wg.Go(func() {
			defer func() { <-slots }()
			if _, err := k.Image(); err != nil {
				r.leave("live tests on Linux %s: %v", k.Name, err)
				return
			}
			r.step("live tests on Linux "+k.Name, func(c *counter) error {
				return r.convert(c, func(w *os.File) error {
					g := vm.Guest{Kernel: k, Files: files, Command: guest, Out: w, Timeout: timeout}
					status, err := g.Run(r.ctx)
					if err == nil && status != 0 {
						err = fmt.Errorf("exit status %d", status)
					}
					return err
				})
			})
		})
	}
	wg.Wait()
}

// heavy are the live tests that take longest in emulation, the longest first.
var heavy = []string{
	"TestPrograms", "TestStackForms", "TestEvents", "TestExecuted", "TestChosen", "TestPointerMatrix",
	"TestPointerValues", "TestSharedAutomata", "TestFields", "TestTracingPolicies", "TestSockets", "TestPaths",
	"TestOwnRoot", "TestFunctionsNotAttached", "TestTracedFunctions", "TestHomonyms", "TestSkbPackets", "TestUnloaded",
	"TestShortProcesses", "TestShortLives", "TestUnwindGarbage", "TestDistinctStacks", "TestTracedCalls", "TestUnwindLanguages",
	"TestGenerated", "TestUnwindSystemStack", "TestFalcoCalls", "TestConfined", "TestStorm", "TestRecorderStrings",
	"TestTLSHello", "TestDrop", "TestUnwindMusl", "TestUnwindForked", "TestPinnedIterator", "TestUnwind",
	"TestParamsC", "TestCapabilities", "TestPackets", "TestOtherPrograms", "TestUnwindGoStacks", "TestVersionAndHelp",
	"TestServe", "TestStackPlaces", "TestOwnMemory", "TestSuffixedFunctions", "TestClosedArguments", "TestDeny",
	"TestFlows", "TestConfinedWithoutMain", "TestBytes", "TestTablesBeforeAttach", "TestInlinedCopies", "TestExecutedProgram",
	"TestFollow", "TestKernelStacks", "TestAddresses", "TestRecorder",
	"TestWidths", "TestWarningsWithJSON", "TestRecorderUntil", "TestNamesOfUnloadedPrograms",
}

// pinned are the tests for which it matters which guest runs them, with the guest. The first
// guests have old kernels. Those with kprobes or fentry that few kernels can run have nothing
// to do on this machine. TestCases and TestLoads are divided between two guests.
var pinned = map[string][]int{
	"TestLoads":                {0, 3},
	"TestCases":                {0, 2},
	"TestTracedFunctions":      {2},
	"TestTracedCalls":          {2},
	"TestTracingPolicies":      {3},
	"TestHomonyms":             {2},
	"TestFunctionsNotAttached": {3},
	"TestSuffixedFunctions":    {3},
	"TestClosedArguments":      {3},
}

// share returns the tests that guest i runs: those pinned to it, and every fourth of the
// heavy ones and of the others.
func share(tests []string, i int) (chosen []string) {
	for j, test := range tests {
		guests, fixed := pinned[test]
		switch h := slices.Index(heavy, test); {
		case fixed:
		case h < 0:
			guests = []int{j % 4}
		case h/4%2 == 0:
			guests = []int{h % 4}
		default: // in the other direction, so that the first guest has not the most work
			guests = []int{3 - h%4}
		}
		if slices.Contains(guests, i%4) {
			chosen = append(chosen, test)
		}
	}
	return chosen
}
