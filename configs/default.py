"""The default run: a generated listening history, LightGCN with BPR, ten epochs.

Command: python -m jaxrec.main --config=configs/default.py
Run time: about 15 seconds on 2 CPU cores after installation, a third of it compiling at first.
Score: held-out Recall@10 .2427 [.2348, .2511] on all 3,000 listeners; most popular .0415.

Every field there is stands here with its meaning; the other configs change some of them.
"""

import ml_collections
from ml_collections.config_dict import placeholder


def get_config() -> ml_collections.ConfigDict:
    """All fields with their defaults."""
    config = ml_collections.ConfigDict()
    config.method = "gcn"  # gcn (the network), or most_popular, itemknn, rp3beta, ease, ials, gfcf
    config.epochs = 10  # passes over all training edges
    config.lr = 0.01  # learning rate of Adam (after warm-up)
    config.lr_schedule = "constant"  # constant, or cosine: down to 0 at the last epoch
    config.warmup_epochs = 0.0  # epochs of linear warm-up from 0; may be a fraction
    config.batch_size = 512  # training edges per update; softmax: about so many, whole listeners
    config.seed = 0  # all randomness: data, split, initial values, order, negatives
    config.quiet = False  # True: print warnings only
    config.profile = False  # True: write a trace of some steps to profile/ in the run's folder

    data = config.data = ml_collections.ConfigDict()
    data.source = "synthetic"  # synthetic, listens (your own files), or a dataset of the catalogue
    data.path = placeholder(str)  # your file, folder or glob; or where a dataset's files lie
    data.test_path = placeholder(str)  # the test part of a fixed pair (split = given)
    data.format = "auto"  # auto (by the file's ending), csv, tsv, parquet, edges (user item item …)
    data.delimiter = placeholder(str)  # between fields of csv and tsv, where it's not the usual one
    data.header = True  # the first line of csv and tsv names the columns; else they are "0", "1", …
    columns = data.columns = ml_collections.ConfigDict()
    columns.user = "user"  # column with the listener's id
    columns.item = "item"  # column with the song's id
    columns.timestamp = placeholder(str)  # seconds since 1970, or ISO 8601 text
    columns.plays = placeholder(str)  # number of plays the row stands for; without it, 1
    columns.ms_played = placeholder(str)  # milliseconds played
    columns.item_name = placeholder(str)  # the song's title
    columns.artist = placeholder(str)  # the song's artist
    data.names_path = placeholder(str)  # a separate table with the songs' names
    data.names_columns = ("id", "name")  # its columns: song id, name
    data.on_bad_rows = "error"  # error: stop at the first; skip: count them, show the first ten
    data.time_from = placeholder(str)  # ISO 8601; earlier listens are left out
    data.time_until = placeholder(str)  # ISO 8601; listens from then on are left out
    data.min_ms_played = 0  # milliseconds; shorter listens are left out
    data.weight = "binary"  # an edge's weight from its plays: binary 1, log(1 + plays), raw plays
    data.min_plays = 1.0  # plays; pairs with fewer are left out
    data.core = 0  # k-core: every user and song keeps at least this many interactions; 0 is off
    data.split = "random"  # none, random (per user), last_n (by time), time (one moment), given
    data.test_fraction = 0.2  # share of listens that random and time hold out as test
    data.last_n = 1  # interactions per user that last_n holds out as test
    data.moment = placeholder(str)  # ISO 8601, where time splits; without it, by test_fraction
    data.validation_fraction = 0.1  # share of train as validation (random, time, given); 0 is off
    data.validation_rule = "random"  # which of a user's: random, or alike (that go together)
    data.validation_last_n = 0  # with last_n: interactions per user cut off as validation

    model = config.model = ml_collections.ConfigDict()
    model.layers = 3  # rounds of neighbourhood sums; 0 is plain matrix factorisation
    model.dim = 64  # length of an embedding
    model.init_stddev = 0.1  # standard deviation of the initial embeddings
    # LightGCN++'s: exponents of the degrees of the receiving and the sending node; inputs of layers
    # scaled to length 1; the weight of layer 0, where it isn't the mean over all layers.
    model.receiver_exponent = 0.5
    model.sender_exponent = 0.5
    model.unit_layers = False
    model.layer_zero = placeholder(float)
    # How neighbourhoods are summed: segment_sum (the reference), csr (jaxlib's product), prefetch
    # (our own, for CPUs, compiled when first used), auto (the fastest that can be had).
    model.kernel = "auto"
    model.dtype = "float32"  # what neighbours are gathered in: float32, or bfloat16 (sums float32)

    # Walks listener-song-listener-song over the graph, added to the network's scores when ranking.
    # Nothing is learnt by them: they know each listen, where embeddings keep what many listeners
    # share.
    walks = config.walks = ml_collections.ConfigDict()
    walks.weight = 0.0  # how much they count; 0 leaves them out
    walks.exponent = 0.5  # of the degree of the song at the end; less: more popular songs
    walks.longer = 0.0  # how much walks two steps longer, which reach what all like, are taken off

    loss = config.loss = ml_collections.ConfigDict()
    # bpr: each listened song above sampled ones; softmax: above all samples together, by cosine.
    loss.name = "bpr"
    loss.negatives = 1  # sampled songs per listened song (bpr), or shared by a batch (softmax)
    loss.sampler = "uniform"  # uniform over unheard songs, or popularity^alpha
    loss.popularity_alpha = 0.75  # the exponent of popularity
    loss.l2 = 1e-4  # weight of the squared layer-0 embeddings of the batch
    loss.temperature = 0.1  # softmax: what cosines are divided by
    loss.negative_weight = 1.0  # softmax: weight of the negatives' part; below 1, gentler on them

    baseline = config.baseline = ml_collections.ConfigDict()  # settings of the other methods
    itemknn = baseline.itemknn = ml_collections.ConfigDict()
    itemknn.neighbours = 100  # most similar songs kept per song
    itemknn.shrink = 0.0  # added to the cosine's denominator; above 0, small overlaps count less
    itemknn.normalize = True  # similarities to a song are divided by their sum
    itemknn.centre = True  # a song's share of listeners counts as its mean rating
    rp3beta = baseline.rp3beta = ml_collections.ConfigDict()
    rp3beta.neighbours = 100  # best ends of a walk kept per song
    rp3beta.alpha = 0.6  # exponent of a step's probability
    rp3beta.beta = 0.3  # exponent of the song's number of listeners, by which scores are divided
    ease = baseline.ease = ml_collections.ConfigDict()
    ease.l2 = 200.0  # weight of the squared item weights; in listeners, added to the diagonal
    ials = baseline.ials = ml_collections.ConfigDict()
    ials.dim = 64  # length of an embedding
    ials.iterations = 16  # times that all users' and then all songs' embeddings are solved for
    ials.unobserved_weight = 0.01  # of the squared score of any pair, beside 1 of a listened one
    ials.l2 = 0.003  # weight of the squared embeddings
    ials.l2_exponent = 1.0  # how l2 grows with a node's degree; 0: the same for all
    ials.init_stddev = 0.1  # standard deviation of an initial embedding's length
    gfcf = baseline.gfcf = ml_collections.ConfigDict()
    gfcf.singular_vectors = 256  # frequencies that the ideal low-pass filter lets through
    gfcf.low_pass_weight = 0.3  # of that filter, beside 1 of the linear one

    evaluation = config.eval = ml_collections.ConfigDict()
    evaluation.ks = (10, 20)  # list lengths K of the metrics
    evaluation.every_epochs = 1  # epochs between the evaluations on a few users
    evaluation.users = 100  # random users of those evaluations, the same every time
    evaluation.memory_budget_mb = 512  # MiB of scores held at once while ranking
    evaluation.metric = "recall@10"  # chooses the best checkpoint; drawn in curves.png
    evaluation.patience = 0  # evaluations without a better metric before stopping; 0 is off

    checkpoint = config.checkpoint = ml_collections.ConfigDict()
    checkpoint.every = "1 epoch"  # between saves, such as 500 steps, 10 minutes; the end is too
    checkpoint.keep = 2  # newest checkpoints kept, beside the best one
    checkpoint.grace_seconds = 30.0  # seconds from SIGTERM or Ctrl-C to the end of the process

    tune = config.tune = ml_collections.ConfigDict()
    # what is chosen: "FIELD log LOW HIGH", "FIELD float LOW HIGH", "FIELD int LOW HIGH" (whole
    # numbers) or "FIELD in A B C", a field as it is written after config.
    tune.space = ("lr log 0.001 0.1", "loss.l2 log 1e-6 1e-2", "model.layers int 1 4")
    tune.trials = 30  # settings to try, those counted that were tried before a stop
    tune.cuts = 1  # validation parts, each cut by a seed of its own, that a score is the mean over
    tune.prune_from = 0.5  # share of the epochs, from where trials below the median end; 1 is never
    return config
