package gitops

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Git returns git with arguments that only read, for the repository that holds dir.
// It does not depend on who owns dir or on what started this process, and runs no
// other program:
//
//   - In a container of CI the repository often belongs to another user, which Git
//     refuses because a repository's configuration can name programs to run
//     (https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory).
//     Of these, commands that only read run core.fsmonitor, and the transports that
//     fetch what a partial clone lacks; both are off.
//   - In a hook Git's variables point to what is committed, not to dir.
func Git(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append([]string{
		"-C", dir, "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never",
	}, args...)...)
	cmd.WaitDelay = time.Second
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "GIT_") && !strings.HasPrefix(kv, "GIT_EXEC_PATH=") && !strings.HasPrefix(kv, "GIT_CONFIG_")
	}),
		"GIT_ALLOW_PROTOCOL=none", // wins over protocol.NAME.allow of the repository; there is no such protocol
		"GIT_NO_LAZY_FETCH=1",     // Git 2.45 or newer does not even try
		"GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0")
	return cmd
}
