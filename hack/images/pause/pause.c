/*
 * pause is the first process of every pod sandbox. It holds the pod's namespaces open while its containers
 * come and go, so it must do as little as possible and never die by itself.
 *
 * Two duties remain. Where the pod shares its process namespace, pause is process 1 there: orphans become its
 * children, and it reaps them. And when the runtime asks it to stop, it exits at once; process 1 ignores
 * signals that it has no handler for, so without this every pod deletion would wait for SIGKILL.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void on_stop(int sig) { (void)sig; stop = 1; }
static void on_child(int sig) { (void)sig; }

int main(void) {
	sigset_t handled, outside;
	struct sigaction act = {.sa_handler = on_stop};

	/* Signals arrive only inside sigsuspend; between the test of stop and the wait none can be lost. */
	sigemptyset(&handled);
	sigaddset(&handled, SIGTERM);
	sigaddset(&handled, SIGINT);
	sigaddset(&handled, SIGCHLD);
	sigprocmask(SIG_BLOCK, &handled, &outside);

	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	act.sa_handler = on_child;
	sigaction(SIGCHLD, &act, NULL);

	while (!stop) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		sigsuspend(&outside);
	}
	return 0;
}
