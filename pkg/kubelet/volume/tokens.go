package volume

import (
	"context"
	"fmt"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Tokens gets service account tokens bound to a pod, and keeps each until it wants renewal: after 80 % of its
// life, and after a day at the latest.
type Tokens struct {
	Client kubernetes.Interface

	mu   sync.Mutex
	have map[tokenKey]token
}

type tokenKey struct {
	pod      types.UID
	audience string
	seconds  int64
}

type token struct {
	value   string
	renew   time.Time
	expires time.Time
}

// retryToken is when to try again after a renewal that failed, while the old token is still good.
const retryToken = time.Minute

// Get returns a token and when it wants renewal.
func (t *Tokens) Get(ctx context.Context, pod *corev1.Pod, p *corev1.ServiceAccountTokenProjection, now time.Time) (string, time.Time, error) {
	k := tokenKey{pod.UID, p.Audience, 3600}
	if p.ExpirationSeconds != nil {
		k.seconds = *p.ExpirationSeconds
	}
	t.mu.Lock()
	had, ok := t.have[k]
	t.mu.Unlock()
	if ok && now.Before(had.renew) {
		return had.value, had.renew, nil
	}
	fresh, err := t.request(ctx, pod, k, now)
	if err != nil && ok && now.Before(had.expires) {
		return had.value, now.Add(retryToken), nil
	}
	if err != nil {
		return "", time.Time{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.have == nil {
		t.have = map[tokenKey]token{}
	}
	t.have[k] = fresh
	return fresh.value, fresh.renew, nil
}

func (t *Tokens) request(ctx context.Context, pod *corev1.Pod, k tokenKey, now time.Time) (token, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &k.seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if k.audience != "" {
		request.Spec.Audiences = []string{k.audience}
	}
	r, err := t.Client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return token{}, fmt.Errorf("failed to fetch token: %w", err)
	}
	life := r.Status.ExpirationTimestamp.Sub(now)
	return token{r.Status.Token, now.Add(min(life*8/10, 24*time.Hour)), r.Status.ExpirationTimestamp.Time}, nil
}

// Forget drops a pod's tokens.
func (t *Tokens) Forget(uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k := range t.have {
		if k.pod == uid {
			delete(t.have, k)
		}
	}
}
