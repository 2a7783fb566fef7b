package binary

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Debuginfod fetches debug files from the servers in DEBUGINFOD_URLS. It shares the
// cache of other clients. It uses debuginfod-find or curl for the transfer, as a client
// for HTTPS would make this program a fifth larger.
type Debuginfod struct {
	urls  []string
	cache string
	left  time.Duration // remaining time that may be spent waiting
	log   io.Writer
	said  bool // the lack of a program for the transfer has been reported
}

// Defaults of debuginfod's clients, except for the time: the clients wait for 90
// seconds.
const (
	debuginfodWait = 20 * time.Second
	debuginfodMiss = 10 * time.Minute // time for which the absence of a file is cached
	debuginfodSize = 2 << 30          // maximum size of a file, in bytes
)

// NewDebuginfod returns a client with the settings in the environment, or nil if these
// name no servers. It reports its work to log.
func NewDebuginfod(getenv func(string) string, log io.Writer) *Debuginfod {
	d := &Debuginfod{urls: strings.Fields(getenv("DEBUGINFOD_URLS")), log: log, left: debuginfodWait}
	if len(d.urls) == 0 {
		return nil
	}
	if n, err := strconv.Atoi(getenv("DEBUGINFOD_TIMEOUT")); err == nil && n > 0 {
		d.left = time.Duration(n) * time.Second
	}
	home := getenv("HOME")
	old := filepath.Join(home, ".debuginfod_client_cache")
	switch {
	case getenv("DEBUGINFOD_CACHE_PATH") != "":
		d.cache = getenv("DEBUGINFOD_CACHE_PATH")
	case home != "" && isDir(old):
		d.cache = old
	case getenv("XDG_CACHE_HOME") != "":
		d.cache = filepath.Join(getenv("XDG_CACHE_HOME"), "debuginfod_client")
	case home != "":
		d.cache = filepath.Join(home, ".cache", "debuginfod_client")
	default:
		return nil
	}
	return d
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// Fetch returns the path of the debug file with a build ID. It returns "" if no server
// has the file, or if the time is over. All calls together wait for at most
// DEBUGINFOD_TIMEOUT seconds.
func (d *Debuginfod) Fetch(buildID string) string {
	path := filepath.Join(d.cache, buildID, "debuginfo")
	if st, err := os.Stat(path); err == nil {
		if st.Size() > 0 {
			return path
		}
		if time.Since(st.ModTime()) < debuginfodMiss {
			return ""
		}
	}
	if d.left <= 0 {
		return ""
	}
	began := time.Now()
	defer func() {
		if d.left -= time.Since(began); d.left <= 0 {
			fmt.Fprintln(d.log, "No more debug information is fetched: waiting for it took too long (DEBUGINFOD_TIMEOUT)")
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), d.left)
	defer cancel()
	if find, err := exec.LookPath("debuginfod-find"); err == nil {
		out, err := exec.CommandContext(ctx, find, "debuginfo", buildID).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		if !d.said {
			d.said = true
			fmt.Fprintln(d.log, "Debug information is not fetched: DEBUGINFOD_URLS needs debuginfod-find or curl")
		}
		return ""
	}
	return d.get(ctx, curl, buildID, path)
}

// get fetches a file with curl and stores it in the cache. If no server has it, get
// stores an empty file.
func (d *Debuginfod) get(ctx context.Context, curl, buildID, path string) string {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return ""
	}
	part := filepath.Join(dir, fmt.Sprintf("debuginfo.%d", os.Getpid()))
	defer os.Remove(part)
	missing := true
	for _, url := range d.urls {
		url = strings.TrimSuffix(url, "/") + "/buildid/" + buildID + "/debuginfo"
		cmd := exec.CommandContext(ctx, curl, "--fail", "--silent", "--location", "--proto", "=http,https,file",
			"--max-filesize", strconv.Itoa(debuginfodSize), "--output", part, url)
		err := cmd.Run()
		if err == nil && os.Rename(part, path) == nil {
			return path
		}
		const notFound = 22 // curl's status for an answer of 400 or above
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != notFound {
			missing = false
		}
	}
	if missing {
		if f, err := os.Create(path); err == nil {
			f.Close()
		}
	}
	return ""
}
