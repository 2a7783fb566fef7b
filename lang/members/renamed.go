package members

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// spelling is the path to a member in some kernels, and the first release that
// has it. since is "" for 5.10, or if the release is not known.
type spelling struct{ path, since string }

// renames lists the members of kernel structs that have different names or paths in
// kernels since 5.10. For each struct it has all paths to a member, oldest first. A
// path may lead through members and pointers.
var renames = lazy.Value[map[string][][]spelling]{New: func() map[string][][]spelling {
	return map[string][][]spelling{
		"struct task_struct": {
			{{"state", ""}, {"__state", "5.14"}},
			{{"cpu", ""}, {"thread_info.cpu", "5.16"}},
		},
		"struct signal_struct": {
			{{"group_exit_task", ""}, {"group_exec_task", "5.17"}},
		},
		"struct mm_struct": {{{"mmap", ""}, {"mm_mt", "6.1"}}},
		"struct inode": {
			{{"i_atime.tv_sec", ""}, {"__i_atime.tv_sec", "6.7"}, {"i_atime_sec", "6.11"}},
			{{"i_mtime.tv_sec", ""}, {"__i_mtime.tv_sec", "6.7"}, {"i_mtime_sec", "6.11"}},
			{{"i_ctime.tv_sec", ""}, {"__i_ctime.tv_sec", "6.6"}, {"i_ctime_sec", "6.11"}},
		},
		"struct dentry": {
			{{"d_child", ""}, {"d_sib", "6.8"}},
			{{"d_subdirs", ""}, {"d_children", "6.8"}},
			{{"d_iname", ""}, {"d_shortname.string", ""}},
		},
		"struct super_block":   {{{"s_d_op", ""}, {"__s_d_op", ""}}},
		"struct address_space": {{{"private_data", ""}, {"i_private_data", "6.8"}}},
		"struct kernfs_node":   {{{"parent", ""}, {"__parent", "6.15"}}},
		"struct page": {
			{{"mem_cgroup", ""}, {"memcg_data", "5.11"}},
			{{"index", ""}, {"__folio_index", ""}},
		},
		"struct bio": {
			{{"bi_disk", ""}, {"bi_bdev.bd_disk", "5.12"}},
			{{"bi_partno", ""}, {"bi_bdev.bd_partno", "5.12"}},
			{{"bi_issue.value", ""}, {"issue_time_ns", ""}},
		},
		"struct request": {
			{{"rq_disk", ""}, {"q.disk", "5.17"}},
			{{"ioprio", ""}, {"bio.bi_ioprio", ""}},
			{{"write_hint", ""}, {"bio.bi_write_hint", ""}},
		},
		"struct request_queue": {{{"backing_dev_info", ""}, {"disk.bdi", "5.15"}}},
		"struct block_device":  {{{"bd_inode", ""}, {"bd_mapping.host", "6.10"}}},
		"struct rq":            {{{"lock", ""}, {"__lock", "5.14"}}},
		"struct cfs_rq": {
			{{"nr_running", ""}, {"nr_queued", ""}},
			{{"h_nr_running", ""}, {"h_nr_queued", ""}},
		},
		"struct iov_iter": {
			{{"type", ""}, {"iter_type", "5.14"}},
			{{"iov", ""}, {"__iov", "6.4"}},
		},
		"struct module":  {{{"core_layout", ""}, {"mem", "6.4"}}},
		"struct cgroup":  {{{"ancestor_ids", ""}, {"ancestors", ""}}},
		"struct hrtimer": {{{"state", ""}, {"is_queued", ""}}},
		"struct inet_connection_sock": {
			{{"icsk_timeout", ""}, {"icsk_retransmit_timer.expires", ""}, {"icsk_inet.sk.tcp_retransmit_timer.expires", ""}},
			{{"icsk_retransmit_timer", ""}, {"icsk_inet.sk.tcp_retransmit_timer", ""}},
		},
	}
}}

// renamed describes the path in this kernel to the member of t that is called name in
// other kernels. It returns "" if there is none. The path exists in this kernel.
func renamed(t *types.Type, name string) string {
	for _, all := range renames.Get()[t.Name] {
		asked := -1
		for i, s := range all {
			if first, _, _ := strings.Cut(s.path, "."); first == name {
				asked = i
			}
		}
		if asked < 0 {
			continue
		}
		for i := len(all) - 1; i >= 0; i-- {
			if i == asked || !reachable(t, all[i].path) {
				continue
			}
			switch {
			case i > asked && all[i].since != "":
				return fmt.Sprintf("since Linux %s it is '%s'", all[i].since, all[i].path)
			case i < asked && all[i+1].since != "":
				return fmt.Sprintf("before Linux %s it is '%s'", all[i+1].since, all[i].path)
			}
			return fmt.Sprintf("on this kernel it is '%s'", all[i].path)
		}
	}
	return ""
}

// reachable reports whether a path of members exists in t.
func reachable(t *types.Type, path string) bool {
	for name := range strings.SplitSeq(path, ".") {
		if t != nil && t.Kind == types.Pointer {
			t = t.Elem
		}
		if t == nil || t.Kind != types.Struct {
			return false
		}
		f, ok := t.Field(name)
		if !ok {
			return false
		}
		t = f.Type
	}
	return true
}
