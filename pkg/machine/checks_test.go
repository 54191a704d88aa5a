package machine

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestChecks(t *testing.T) {
	v1 := mount{"/", "/sys/fs/cgroup/pids", "cgroup"}
	hybrid := mount{"/", "/sys/fs/cgroup/unified", "cgroup2"}
	v2 := mount{"/", "/sys/fs/cgroup", "cgroup2"}
	for _, tt := range []struct {
		name           string
		check          Finding
		problem, fatal bool
	}{
		{"root", checkRoot(0), false, true},
		{"a user", checkRoot(1000), true, true},
		{"cgroup v2", checkCgroups([]mount{v2}), false, true},
		{"cgroup v1 and v2", checkCgroups([]mount{v1, hybrid}), true, false},
		{"no cgroups", checkCgroups(nil), true, true},
		{"overlay", checkFilesystem("nodev\toverlay\n"), false, false},
		{"no overlay", checkFilesystem("nodev\ttmpfs\n"), true, false},
		{"a program that is missing", checkProgram("no-such-program", "install it"), true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.problem, tt.check.Problem != "", tt.check.Problem)
			assert.Equal(t, tt.fatal, tt.check.Fatal)
			assert.NotEmpty(t, tt.check.Fix)
		})
	}
	assert.NoError(t, firstFatal([]Finding{checkRoot(0), checkFilesystem("")}), "what is only worth knowing does not stop anyone")
	assert.EqualError(t, firstFatal([]Finding{checkProgram("no-such-program", "apt-get install it")}),
		"no-such-program: the program is not installed; apt-get install it")
}
