package live

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestOwnNamespaces traces a process that has its own user namespace, PID namespace,
// mount namespace and root directory. It traces it by its ID in our namespace and by its
// path in its root.
func TestOwnNamespaces(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("bpftrace counts calls in other processes")
	}
	root := t.TempDir()
	text, err := os.ReadFile(*work)
	if err == nil {
		err = os.Mkdir(filepath.Join(root, "bin"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "bin/inside"), text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/inside", "crowd", fmt.Sprint(crowdThreads), fmt.Sprint(crowdCalls))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot:      root,
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("no user namespaces: %v", err)
	}
	t.Cleanup(func() { stdin.Close(); cmd.Process.Kill(); cmd.Wait() })
	pid := cmd.Process.Pid
	waitThreads(t, pid, crowdThreads+1)
	s := start(t, "-p", fmt.Sprint(pid), "-e", fmt.Sprintf(`
		uprobe:/bin/inside:gt_relative { @called[pid == %[1]d, tid > %[1]d, comm] = count(); @places[ustack(1)] = count(); }
		usdt:/bin/inside:gt:crowd { @static = count(); }
		tracepoint:syscalls:sys_enter_getpgid { @system[pid == %[1]d] = count(); }`, pid))
	s.attached()
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	r := s.wait().withoutForkWarning(t)
	n := crowdThreads * crowdCalls
	want := fmt.Sprintf("@called[true, true, inside]: %[1]d @places[ gt_relative+0 ]: %[1]d @static: %[1]d @system[true]: %[1]d", n)
	if got := strings.Join(strings.Fields(r.stdout), " "); got != want && r.missed() == 0 {
		t.Errorf("printed %s\nwant %s\n%s", got, want, r.stderr)
	}
	r.quietButMissed(t)
}
