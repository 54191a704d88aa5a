package reconcile

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
)

// Lead runs a component while this process holds the named lease in kube-system, with upstream's timing: held for
// 15 seconds, given up if not renewed for 10, tried every 2. It returns when the component does, when the context ends (the
// lease is then released, so that another takes over at once), or with an error when the lease is lost: what was
// running may then not go on, and its caches are of no more use, so the process should end.
func Lead(ctx context.Context, client kubernetes.Interface, name string, run func(context.Context) error) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("lease %s: name this process: %w", name, err)
	}
	election, end := context.WithCancel(ctx)
	defer end()
	var result error
	var once sync.Once
	leaderelection.RunOrDie(election, leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: "kube-system", Name: name},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
		},
		Name:            name,
		LeaseDuration:   15 * time.Second,
		RenewDeadline:   10 * time.Second,
		RetryPeriod:     2 * time.Second,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				once.Do(func() {
					result = run(leading)
					if result == nil && leading.Err() != nil && ctx.Err() == nil {
						result = fmt.Errorf("lease %s: lost to another process, or not renewed in time", name)
					}
				})
				end()
			},
			// Called after leading has been cancelled. Once.Do waits here for run to return.
			OnStoppedLeading: func() { once.Do(func() {}) },
		},
	})
	return result
}

// Events returns what records events in the name of a component. The returned function ends it.
func Events(client kubernetes.Interface, component string) (record.EventRecorder, func()) {
	b := record.NewBroadcaster()
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component}), b.Shutdown
}
