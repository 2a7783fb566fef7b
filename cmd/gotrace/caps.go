package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/outline"
)

// privileges returns an error that names the privileges that this process lacks to load
// programs. It returns nil if there are none.
func privileges() error {
	if err := lockedDown(); err != nil {
		return err
	}
	for _, fs := range []string{"/proc/self", "/sys/kernel"} {
		if _, err := os.Stat(fs); errors.Is(err, os.ErrNotExist) {
			dir, _ := filepath.Split(fs)
			return outline.Errorf("%s is not mounted, and tracing needs it", filepath.Clean(dir))
		}
	}
	if inUserNamespace() {
		return errors.New("gotrace runs in a user namespace, whose capabilities do not permit tracing: run it on the host, or in a container without a user namespace")
	}
	has := effective()
	var missing []string
	for _, c := range []struct {
		n     int
		name  string
		admin bool // whether CAP_SYS_ADMIN includes the capability
		root  bool // whether uid 0 does not need the capability
	}{
		{unix.CAP_BPF, "CAP_BPF", true, false},
		{unix.CAP_PERFMON, "CAP_PERFMON", true, false},
		{unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", false, true},
		{unix.CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE", false, true},
	} {
		if has(c.n) || c.admin && has(unix.CAP_SYS_ADMIN) || c.root && os.Geteuid() == 0 {
			continue
		}
		missing = append(missing, c.name)
	}
	if len(missing) > 0 {
		return outline.Errorf("missing %s; please run as root, or give the binary these capabilities", strings.Join(missing, ", "))
	}
	return nil
}

// lockedDown returns an error if the kernel is locked down so far that nothing can be
// traced. Then tracefs is empty too.
func lockedDown() error {
	if _, mode, _, _ := lockdown(); mode != "confidentiality" {
		return nil
	}
	return errors.New("the kernel is locked down for confidentiality, which forbids tracing (see /sys/kernel/security/lockdown)")
}
