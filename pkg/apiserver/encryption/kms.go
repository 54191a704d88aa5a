package encryption

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kmstypes "k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2/v2"
	kmsapi "k8s.io/kms/apis/v2"
)

// Envelope encryption. A value is encrypted by a seed of ours, and beside it lies the seed, encrypted by the plugin under a
// key that never leaves it. The plugin says by an id which key it uses at present:
//
//	Status ──► the id of before ──► the seed goes on being used, for another three minutes at most
//	       └─► another id ──► a new seed, encrypted by the plugin; what the old one wrote is stale
//	       └─► nothing, or not well ──► the seed is used until its three minutes are over, then writes fail

// keyService is a KMS plugin.
type keyService interface {
	Status(ctx context.Context) (*kmsapi.StatusResponse, error)
	Encrypt(ctx context.Context, plain []byte) (*kmsapi.EncryptResponse, error)
	Decrypt(ctx context.Context, r *kmsapi.DecryptRequest) ([]byte, error)
	Close() error
}

// confirmedFor is how long a seed may be used after the plugin has last said that its key is the present one.
const confirmedFor = 3 * time.Minute

// seedsMost bounds the seeds remembered. There is one for each key of the plugin and each start of a server.
const seedsMost = 1000

const (
	maxKeyID       = 1 << 10
	maxSealedSeed  = 1 << 10
	maxAnnotations = 32 << 10
)

// envelope is the sealer of one plugin.
type envelope struct {
	name    string
	service keyService
	now     func() time.Time
	counts  *keyMetrics // nil if nothing is counted; set before the plugin is asked anything

	mu      sync.Mutex
	present *kmstypes.EncryptedObject // what new values are sealed with, without the data; nil before the first Status
	writer  seeded                    // its seed
	expires time.Time                 // of present
	version string                    // that the plugin said first
	ill     error                     // what the last Status came to
	openers map[[sha256.Size]byte]sealer
}

func newEnvelope(name string, service keyService, now func() time.Time) *envelope {
	return &envelope{name: name, service: service, now: now, openers: map[[sha256.Size]byte]sealer{}}
}

func (e *envelope) seal(ctx context.Context, key string, plain []byte) ([]byte, error) {
	e.mu.Lock()
	present, writer, expires := e.present, e.writer, e.expires
	e.mu.Unlock()
	if present == nil {
		return nil, errors.New("got unexpected nil transformer")
	}
	if now := e.now(); now.After(expires) {
		return nil, fmt.Errorf("encryptedDEKSource with keyID hash %q expired at %s (current time is %s)",
			hashed(present.KeyID), expires.Format(time.RFC3339), now.Format(time.RFC3339))
	}
	e.uses("to_storage", present.KeyID)
	data, err := writer.seal(ctx, key, plain)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&kmstypes.EncryptedObject{EncryptedData: data, KeyID: present.KeyID, EncryptedDEKSource: present.EncryptedDEKSource,
		Annotations: present.Annotations, EncryptedDEKSourceType: present.EncryptedDEKSourceType})
}

func (e *envelope) open(ctx context.Context, key string, sealed []byte) ([]byte, bool, error) {
	o := &kmstypes.EncryptedObject{}
	if err := proto.Unmarshal(sealed, o); err != nil {
		return nil, false, err
	}
	if err := checkObject(o); err != nil {
		return nil, false, err
	}
	e.uses("from_storage", o.KeyID)
	opener, err := e.openerOf(ctx, o)
	if err != nil {
		return nil, false, err
	}
	plain, _, err := opener.open(ctx, key, o.EncryptedData)
	if err != nil {
		return nil, false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	stale := e.present == nil || o.KeyID != e.present.KeyID || o.EncryptedDEKSourceType != e.present.EncryptedDEKSourceType
	return plain, stale, nil
}

// openerOf returns what opens the data of o. The plugin is asked for each seed once.
func (e *envelope) openerOf(ctx context.Context, o *kmstypes.EncryptedObject) (sealer, error) {
	id := identify(o)
	e.mu.Lock()
	opener, ok := e.openers[id]
	e.mu.Unlock()
	if ok {
		return opener, nil
	}
	began := time.Now()
	seed, err := e.service.Decrypt(ctx, &kmsapi.DecryptRequest{Ciphertext: o.EncryptedDEKSource, KeyId: o.KeyID, Annotations: o.Annotations})
	e.answered(askedDecrypt, began, err)
	if err != nil {
		return nil, fmt.Errorf("failed to decrypt DEK, error: %w", err)
	}
	if o.EncryptedDEKSourceType == kmstypes.EncryptedDEKSourceType_AES_GCM_KEY {
		opener, err = newGCM(seed)
	} else if opener = (seeded{seed}); len(seed) < seedSize {
		err = fmt.Errorf("invalid seed length %d used for key generation", len(seed))
	}
	if err != nil {
		return nil, err
	}
	e.remember(id, opener)
	return opener, nil
}

func (e *envelope) remember(id [sha256.Size]byte, opener sealer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.openers) >= seedsMost {
		clear(e.openers)
	}
	e.openers[id] = opener
	e.remembers(len(e.openers))
}

// identify is a fingerprint of all by which a plugin finds the seed of o.
func identify(o *kmstypes.EncryptedObject) [sha256.Size]byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(o.EncryptedDEKSourceType))
	part := func(p []byte) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...) }
	part(o.EncryptedDEKSource)
	part([]byte(o.KeyID))
	for _, k := range slices.Sorted(maps.Keys(o.Annotations)) {
		part([]byte(k))
		part(o.Annotations[k])
	}
	return sha256.Sum256(b)
}

// refresh asks the plugin how it is and which key it uses, and acts on that.
func (e *envelope) refresh(ctx context.Context) error {
	expires := e.now().Add(confirmedFor) // counted from before the question
	began := time.Now()
	status, err := e.service.Status(ctx)
	e.answered(askedStatus, began, err)
	if err != nil {
		err = fmt.Errorf("failed to perform status section of the healthz check for KMS Provider %s, error: %w", e.name, err)
	} else if err = errors.Join(e.judge(status), e.follow(ctx, status.KeyId, expires)); err != nil {
		err = fmt.Errorf("kmsv2 Provider %s is not healthy, error: %w", e.name, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ill = err
	return err
}

// judge says what is wrong with what a plugin says of itself.
func (e *envelope) judge(s *kmsapi.StatusResponse) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all error
	if s.Healthz != "ok" {
		all = errors.Join(all, fmt.Errorf("got unexpected healthz status: %s", s.Healthz))
	}
	switch {
	case s.Version != "v2" && s.Version != "v2beta1":
		all = errors.Join(all, fmt.Errorf("expected KMSv2 API version v2, got %s", s.Version))
	case e.version == "":
		e.version = s.Version
	case e.version != s.Version:
		all = errors.Join(all, fmt.Errorf("KMSv2 API version should not change after the initial status response version %s, got %s", e.version, s.Version))
	}
	return all
}

// follow goes on with the present seed if the plugin's key is still the one that it is encrypted by, and with a new one if not.
func (e *envelope) follow(ctx context.Context, keyID string, expires time.Time) error {
	e.told(keyID)
	if err := checkKeyID(keyID); err != nil {
		return fmt.Errorf("got invalid KMSv2 KeyID hash %q: %w", hashed(keyID), err)
	}
	e.mu.Lock()
	same := e.present != nil && e.present.KeyID == keyID
	if same {
		e.expires = expires
	}
	e.mu.Unlock()
	if same {
		return nil
	}
	seed := make([]byte, seedSize)
	rand.Read(seed)
	began := time.Now()
	got, err := e.service.Encrypt(ctx, seed)
	e.answered(askedEncrypt, began, err)
	if err != nil {
		return fmt.Errorf("failed to rotate DEK: failed to encrypt DEK, error: %w", err)
	}
	o := &kmstypes.EncryptedObject{EncryptedData: []byte{0}, KeyID: got.KeyId, EncryptedDEKSource: got.Ciphertext, Annotations: got.Annotations,
		EncryptedDEKSourceType: kmstypes.EncryptedDEKSourceType_HKDF_SHA256_XNONCE_AES_GCM_SEED}
	if err := checkObject(o); err != nil {
		return fmt.Errorf("failed to rotate DEK: %w", err)
	}
	if o.KeyID != keyID {
		return fmt.Errorf("failed to rotate DEK: status speaks of the key with hash %q, encrypt of %q", hashed(keyID), hashed(o.KeyID))
	}
	e.remember(identify(o), seeded{seed})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.present, e.writer, e.expires = o, seeded{seed}, expires
	return nil
}

// begin refreshes until that works for the first time.
func (e *envelope) begin(ctx context.Context) error {
	for {
		err := e.refresh(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

// keepFresh refreshes until ctx ends.
func (e *envelope) keepFresh(ctx context.Context, log *slog.Logger) {
	next := askPeriod
	for {
		select {
		case <-ctx.Done():
			if err := e.service.Close(); err != nil {
				log.Warn("leave the KMS plugin", "error", err)
			}
			return
		case <-time.After(next):
		}
		next = askPeriod
		if err := e.refresh(ctx); err != nil && ctx.Err() == nil {
			log.Error("KMS plugin", "error", err)
			next = retryPeriod
		}
	}
}

func (e *envelope) health() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ill
}

// hashed names a key id in messages: the id itself may be nobody's business.
func hashed(keyID string) string {
	if keyID == "" {
		return ""
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(keyID)))
}

func checkObject(o *kmstypes.EncryptedObject) error {
	switch o.EncryptedDEKSourceType {
	case kmstypes.EncryptedDEKSourceType_AES_GCM_KEY, kmstypes.EncryptedDEKSourceType_HKDF_SHA256_XNONCE_AES_GCM_SEED:
	default:
		return fmt.Errorf("unknown encryptedDEKSourceType: %d", o.EncryptedDEKSourceType)
	}
	switch n := len(o.EncryptedDEKSource); {
	case len(o.EncryptedData) == 0:
		return errors.New("encrypted data is empty")
	case n == 0:
		return errors.New("failed to validate encrypted DEK source: encrypted DEK source is empty")
	case n > maxSealedSeed:
		return fmt.Errorf("failed to validate encrypted DEK source: encrypted DEK source is %d bytes, which exceeds the max size of %d", n, maxSealedSeed)
	}
	if err := checkKeyID(o.KeyID); err != nil {
		return fmt.Errorf("failed to validate key id: %w", err)
	}
	return checkAnnotations(o.Annotations)
}

func checkKeyID(id string) error {
	switch {
	case id == "":
		return errors.New("keyID is empty")
	case len(id) > maxKeyID:
		return fmt.Errorf("keyID is %d bytes, which exceeds the max size of %d", len(id), maxKeyID)
	}
	return nil
}

func checkAnnotations(all map[string][]byte) error {
	size := 0
	for k, v := range all {
		if errs := validation.IsFullyQualifiedDomainName(field.NewPath("annotations"), k); len(errs) > 0 {
			return fmt.Errorf("failed to validate annotations: %w", errs.ToAggregate())
		}
		size += len(k) + len(v)
	}
	if size > maxAnnotations {
		return fmt.Errorf("failed to validate annotations: total size of annotations is %d, which exceeds the max size of %d", size, maxAnnotations)
	}
	return nil
}
