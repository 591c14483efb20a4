// Package config defines the settings of the server, and reads them from flags, the environment and a YAML file. No
// other package of this program reads the environment.
package config

import (
	"io/fs"
	"strconv"
	"time"
)

// Config has all settings of the server; they are named nowhere else. The tags of a field are:
//
//	key      the name in YAML; in the environment it is DUCKWIRE_KEY, as a flag --key with dashes
//	default  in the form in which a user writes it
//	help     one line
//	unset    (optional) the meaning of an empty value
//	min, max (optional) bounds, in the field's own form
//	oneof    (optional) the allowed values, separated by '|'
//	secret   (optional) masked when shown, and not a flag, because other users can read command lines
//	group    (optional) a heading for this field and the following ones
type Config struct {
	Addr          string        `group:"Server" key:"addr" default:"127.0.0.1:4000" help:"address and port to listen on; or a Unix socket, such as unix:/run/duckwire/duckwire.sock"`
	SocketMode    string        `key:"socket_mode" default:"0660" help:"permissions of the file of a Unix socket: who may write to it may connect"`
	DataDir       string        `key:"data_dir" default:"duckwire-data" help:"folder of the database and of the development secret"`
	Durable       string        `key:"durability" default:"full" oneof:"full|normal" help:"full: what is acknowledged survives a power loss; normal: the end of the process only"`
	BasePath      string        `key:"base_path" unset:"the root" help:"path below which clients see the server behind a proxy, such as /duck"`
	TLSCert       string        `key:"tls_cert" unset:"plain HTTP" help:"PEM file of the certificate, with its chain: HTTPS and HTTP/2"`
	TLSKey        string        `key:"tls_key" help:"PEM file of its private key"`
	Dev           bool          `key:"dev" default:"false" help:"development: make and keep an own secret, print a ready token"`
	LogLevel      string        `key:"log_level" default:"info" oneof:"debug|info|warn|error" help:"least level that is logged"`
	LogForm       string        `key:"log_format" default:"json" oneof:"json|text" help:"form of the log on stderr"`
	Metrics       string        `key:"metrics" default:"admin" oneof:"admin|open" help:"who may read /metrics: who has admin on 'duckwire:metrics'; or everybody who can reach the server"`
	RedisURL      string        `key:"redis_url" unset:"one node" secret:"true" help:"redis://, rediss://, unix:// or redis+sentinel:// of the Redis that joins several nodes"`
	RedisPrefix   string        `key:"redis_prefix" help:"before the name of each key and channel in Redis, where several installations share one"`
	RedisReplicas int           `key:"redis_replicas" default:"0" min:"0" max:"100" help:"how many replicas of Redis must have a message before it is acknowledged"`
	NodeLease     time.Duration `key:"node_lease" default:"10s" min:"1s" max:"10m" help:"after how long of silence the other nodes hold a node for dead"`

	JWTSecret      string        `group:"Who may come in (at least one of jwt_secret, jwt_public_key, jwks_url, api_keys; or dev)" key:"jwt_secret" secret:"true" help:"shared secret of HS256 tokens, 32 bytes or more"`
	JWTPublicKey   string        `key:"jwt_public_key" help:"public key of RS256, ES256 or EdDSA tokens: PEM text, or the path of a PEM file"`
	JWKSURL        string        `key:"jwks_url" help:"URL of the key set that tokens are signed with"`
	JWTIssuer      string        `key:"jwt_issuer" unset:"not checked" help:"the iss that tokens must have"`
	JWTAudience    string        `key:"jwt_audience" unset:"not checked" help:"the aud that tokens must have"`
	APIKeys        []string      `key:"api_keys" secret:"true" help:"API keys of servers: lines as 'duckwire apikey' prints them"`
	AuthorizeURL   string        `key:"authorize_url" unset:"tokens decide" help:"application that is asked per topic and action"`
	AuthorizeTTL   time.Duration `key:"authorize_ttl" default:"30s" min:"0s" max:"1h" help:"how long its answers are kept"`
	TrustedProxies []string      `key:"trusted_proxies" unset:"none" help:"addresses or networks of proxies, such as 10.0.0.0/8, whose X-Forwarded-For tells the client's address, and X-Forwarded-Prefix the path before the server's own; unix: whoever connects to the Unix socket"`
	RevocationTTL  time.Duration `key:"revocation_ttl" default:"720h" min:"1m" max:"87600h" help:"how long a revocation is kept: no shorter than the longest life of a token"`
	AllowedOrigins []string      `key:"allowed_origins" unset:"same origin only" help:"web origins that may connect, such as https://app.example.com, https://*.example.com, http://localhost:* or vscode-webview://*; * for any, without cookies"`

	UpstreamURL               string        `group:"Completions" key:"upstream_url" unset:"the built-in completer" help:"base URL of an OpenAI-compatible server to ask, such as http://127.0.0.1:11434/v1"`
	UpstreamKey               string        `key:"upstream_key" secret:"true" help:"its API key"`
	UpstreamModel             string        `key:"upstream_model" unset:"as requested" help:"model to ask for where the request names none, or the built-in completer"`
	UpstreamFIM               string        `key:"upstream_fim" default:"auto" oneof:"auto|suffix|model|qwen|starcoder|codellama|codestral|deepseek" help:"how it takes text after the cursor: as the field 'suffix'; in a template, which the model's name tells ('model') or which is named here; auto: as the dialect says, or found out"`
	UpstreamDialect           string        `key:"upstream_dialect" default:"auto" oneof:"auto|openai|mistral|deepseek|gemini|together|openrouter|vllm|ollama|llamacpp" help:"how it differs from OpenAI; auto: found out"`
	Upstreams                 []Upstream    `key:"upstreams" secret:"true" help:"several servers in place of upstream_url, asked in order (in duckwire.yaml only): a list of name, url, key or key_env, model, models, dialect, fim"`
	UpstreamConnectTimeout    time.Duration `key:"upstream_connect_timeout" default:"10s" min:"100ms" max:"5m" help:"for the connection to it"`
	UpstreamFirstTokenTimeout time.Duration `key:"upstream_first_token_timeout" default:"2m" min:"1s" max:"1h" help:"without any sign of life, before the first token of an answer"`
	UpstreamSilenceTimeout    time.Duration `key:"upstream_silence_timeout" default:"60s" min:"1s" max:"1h" help:"for silence within an answer"`
	UpstreamAnswerTimeout     time.Duration `key:"upstream_answer_timeout" default:"10m" min:"1s" max:"24h" help:"for the first token of an answer in all, from each event to the next, for an answer that is not streamed, and for one of upstream_paths"`
	UpstreamEndTimeout        time.Duration `key:"upstream_end_timeout" default:"30s" min:"1s" max:"1h" help:"for the end of an answer after its finish reason"`
	UpstreamEventBytes        Size          `key:"upstream_event_bytes" default:"32MiB" min:"64KiB" max:"1GiB" help:"largest event of an answer, and largest answer that is not streamed"`
	UpstreamPaths             []string      `key:"upstream_paths" default:"embeddings,moderations,rerank,images/generations,audio/speech,audio/transcriptions,audio/translations" help:"paths below /v1 that are passed to it as they are"`
	KeepChat                  time.Duration `key:"keep_chat" default:"10s" min:"0s" max:"168h" help:"how long a chat goes on that its reader has left, if the request does not say it, and a text completion with an id"`
	KeepCompletions           time.Duration `key:"keep_completions" default:"0s" min:"0s" max:"168h" help:"the same of other text completions; 0: they end at once"`
	LocalCorpus               string        `key:"local_corpus" unset:"none" help:"folder of source code that the built-in completer learns from"`
	LocalTokenDelay           time.Duration `key:"local_token_delay" default:"15ms" min:"0s" max:"10s" help:"pause between the built-in completer's tokens, so that a stream visibly streams"`

	MessageBytes       Size          `group:"Limits" key:"message_bytes" default:"1MiB" min:"1KiB" max:"4MiB" help:"payload of one event"`
	BodyBytes          Size          `key:"body_bytes" default:"8MiB" min:"64KiB" max:"256MiB" help:"body of one request"`
	BatchEvents        int           `key:"batch_events" default:"100" min:"1" max:"10000" help:"events of one publish"`
	HistoryEvents      int           `key:"history_events" default:"1000" min:"1" max:"1000000" help:"events kept for a topic"`
	HistoryBytes       Size          `key:"history_bytes" default:"4MiB" min:"64KiB" max:"1GiB" help:"bytes kept for a topic"`
	HistoryTTL         time.Duration `key:"history_ttl" default:"1h" min:"1s" max:"720h" help:"how long a topic's events are kept"`
	Topics             int           `key:"topics" default:"100000" min:"1" max:"10000000" help:"topics at one time"`
	TopicsPerSession   int           `key:"topics_per_session" default:"16" min:"1" max:"1000" help:"topics of one SSE connection"`
	ChannelsPerSocket  int           `key:"channels_per_socket" default:"100" min:"1" max:"10000" help:"channels that one socket has joined"`
	EphemeralTTL       time.Duration `key:"ephemeral_ttl" default:"60s" min:"1s" max:"1h" help:"how long a cursor-like event is current"`
	EphemeralKeys      int           `key:"ephemeral_keys" default:"1000" min:"1" max:"100000" help:"cursor-like events kept for a topic"`
	PresencePerTopic   int           `key:"presence_per_topic" default:"5000" min:"1" max:"1000000" help:"sessions that are present on a topic"`
	PresenceMetaBytes  Size          `key:"presence_meta_bytes" default:"4KiB" min:"256B" max:"64KiB" help:"what one of them tells of itself"`
	StreamBytes        Size          `key:"stream_bytes" default:"64MiB" min:"64KiB" max:"1GiB" help:"text and events of one stream"`
	StreamTTL          time.Duration `key:"stream_ttl" default:"1h" min:"1s" max:"720h" help:"how long a stream is kept after its end"`
	StreamsPerUser     int           `key:"streams_per_user" default:"100" min:"1" max:"100000" help:"unfinished streams of one user"`
	Lease              time.Duration `key:"lease" default:"30s" min:"1s" max:"1h" help:"how long a silent producer keeps its stream"`
	JobWait            time.Duration `key:"job_wait" default:"60s" min:"1s" max:"1h" help:"how long an analysis waits for a worker to take it"`
	Jobs               int           `key:"jobs" default:"1000" min:"1" max:"100000" help:"analyses that wait for a worker at one time"`
	JobsPerUser        int           `key:"jobs_per_user" default:"20" min:"1" max:"100000" help:"unfinished analyses of one user with workers"`
	JobBytes           Size          `key:"job_bytes" default:"64MiB" min:"64KiB" max:"64GiB" help:"code of all unfinished analyses with workers together"`
	LogMemory          Size          `key:"log_memory" default:"512MiB" min:"1MiB" max:"1024GiB" help:"memory of all topics and streams together"`
	QueueMax           int           `key:"queue_max" default:"1000" min:"1" max:"1000000" help:"messages that wait for one user"`
	QueueBytes         Size          `key:"queue_bytes" default:"16MiB" min:"64KiB" max:"1GiB" help:"bytes of their payloads"`
	QueueTTL           time.Duration `key:"queue_ttl" default:"24h" min:"1s" max:"8760h" help:"how long a message waits for its user"`
	Connections        int           `key:"connections" default:"100000" min:"1" max:"10000000" help:"connections at one time"`
	ConnectionsPerUser int           `key:"connections_per_user" default:"1000" min:"1" max:"1000000" help:"connections of one user"`
	ConnectionsPerAddr int           `key:"connections_per_address" default:"5000" min:"1" max:"10000000" help:"connections of one address (IPv6: of one /64 network); this machine's own and API keys' are not limited"`
	Guests             int           `key:"guests" default:"10000" min:"1" max:"10000000" help:"connections on which nobody has shown a credential that holds"`
	GuestsPerAddress   int           `key:"guests_per_address" default:"1000" min:"1" max:"10000000" help:"such connections of one address; this machine's and trusted proxies' are not limited"`
	FailuresPerMinute  int           `key:"failures_per_minute" default:"10" min:"0" max:"1000000" help:"failed attempts to come in, of one address; 0: no limit"`
	HeavyPerMinute     int           `key:"heavy_per_minute" default:"100" min:"0" max:"1000000" help:"completions, analyses and messages to a model that one user may begin; 0: no limit"`
	EventsPerSecond    int           `key:"events_per_second" default:"1000" min:"0" max:"1000000" help:"events of one user, on average; ten times as many at once; 0: no limit"`
	CursorsPerSecond   int           `key:"cursors_per_second" default:"60" min:"0" max:"1000000" help:"cursor-like events of one session, on average; ten times as many at once; 0: no limit"`
	QueuePerSecond     int           `key:"queue_per_second" default:"1000" min:"0" max:"1000000" help:"messages that one user leaves in queues, on average; ten times as many at once; 0: no limit"`
	JoinsPerMinute     int           `key:"joins_per_minute" default:"6000" min:"0" max:"1000000" help:"joins of channels, and topics followed, of one user; 0: no limit"`
	KeyHeavyPerMinute  int           `key:"key_heavy_per_minute" default:"6000" min:"0" max:"1000000" help:"what heavy_per_minute is for a user, for one API key, with that of users it acts for; 0: no limit"`
	KeyStreams         int           `key:"key_streams" default:"10000" min:"1" max:"1000000" help:"unfinished streams of one API key, with those of users it acts for"`
	KeyConnections     int           `key:"key_connections" default:"10000" min:"1" max:"1000000" help:"connections of one API key, with those of users it acts for"`
	KeyFactor          int           `key:"key_factor" default:"10" min:"1" max:"1000" help:"how many times a user's limits an API key has of events, cursor-like events, messages in queues, joins and jobs"`

	Heartbeat     time.Duration `group:"Times" key:"heartbeat" default:"10s" min:"1s" max:"60s" help:"silence after which a live connection gets a heartbeat"`
	WriteTimeout  time.Duration `key:"write_timeout" default:"30s" min:"1s" max:"10m" help:"how long a reader may take no bytes, and a connection acknowledge none: then its client counts as gone"`
	PresenceGrace time.Duration `key:"presence_grace" default:"15s" min:"0s" max:"10m" help:"how long somebody whose connection was lost stays present"`
	HeaderTimeout time.Duration `key:"header_timeout" default:"10s" min:"100ms" max:"10m" help:"for a request's header, and for a handshake of TLS"`
	BodyTimeout   time.Duration `key:"body_timeout" default:"30s" min:"1s" max:"1h" help:"how long a request's body may bring nothing; one that is read whole must also come at 1 KiB a second"`
	UploadSilence time.Duration `key:"upload_silence" default:"10m" min:"1s" max:"24h" help:"how long a chunked upload to a stream may bring nothing"`
	DrainDelay    time.Duration `key:"drain_delay" default:"0s" min:"0s" max:"10m" help:"how long a server that is told to stop serves on while /readyz is 503, so that balancers find another"`
	DrainTimeout  time.Duration `key:"drain_timeout" default:"10s" min:"0s" max:"10m" help:"how long a stop then waits for clients and streams"`
}

// FileMode returns SocketMode as a number.
func (c *Config) FileMode() fs.FileMode {
	mode, _ := strconv.ParseUint(c.SocketMode, 8, 9) // checked by checkSocketMode
	return fs.FileMode(mode)
}
