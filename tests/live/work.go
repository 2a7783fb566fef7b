// Package live runs scripts on the kernel that is there, with workloads whose
// effects are known to the last count, and compares what is printed.
//
// Two programs are needed: gotrace and the workload (testdata/work.c). Without
// the flags -gotrace and -work they are built first, with the go command and
// gcc. For another kernel the test binary and both programs, all static, are
// copied into a guest (see package vm) and get the flags.
package live

import (
	"fmt"
	"os/exec"
	"strings"
)

// BuildWorkload compiles the workload: source is testdata/work.c. It is static,
// so that no loader's system calls are counted, and has frame pointers, so that
// its stacks can be walked.
func BuildWorkload(source, out string) error {
	cmd := exec.Command("gcc", "-static", "-O1", "-g", "-fno-omit-frame-pointer", "-o", out, source, "-lpthread")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, msg)
	}
	return nil
}
