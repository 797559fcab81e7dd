# %% [markdown]
# # 9. Attention: look inside a model that fits on a page
#
# Language models are built of one part that earlier networks did not have: *attention*. It is where a position in a
# text fetches something from other positions. This chapter opens a model that is small enough to look at every
# number of it, and real all the same: it was trained, and nobody told it how to do its work.
#
# It does one thing. It reads `stressed|` and writes the word backwards, one letter at a time, as large models write
# their answers. `examples/reverse/train.py` trained it in some seconds, on random letters.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnx
from onnx import helper, numpy_helper

import diptych
from diptych.compare import compare
from diptych_reference import ReferenceSession, run_operator

MODEL = Path(__file__).parents[2] / "examples" / "reverse" / "reverse.onnx"
LETTERS = "abcdefghijklmnopqrstuvwxyz|"

session = diptych.InferenceSession(MODEL)


def tokens_of(text: str) -> np.ndarray:
    return np.array([[LETTERS.index(letter) for letter in text]])


def next_letter(text: str) -> str:
    scores, _ = session.run(None, {"tokens": tokens_of(text)})
    return LETTERS[scores[0, -1].argmax()]


text = "stressed|"
while len(text) < 17:
    text += next_letter(text)
print(text)
assert text == "stressed|desserts"

# %% [markdown]
# That loop is all there is to writing: ask for the next letter, append it, ask again. The model gives a *score* to
# each of its 27 letters, and we take the greatest.
#
# It is no accident of one word. Here are five hundred that it cannot have learnt by heart: there are some two
# hundred billion words of eight letters, and in training it saw about twenty-five thousand.

# %%
assert 26**8 > 200e9
words = np.random.default_rng(2026).integers(0, 26, (500, 8))
questions = np.concatenate([words, np.full((500, 1), 26)], axis=1)
for _ in range(8):
    scores, _ = session.run(None, {"tokens": questions})
    questions = np.concatenate([questions, scores[:, -1:].argmax(axis=2)], axis=1)
right = (questions[:, 9:] == words[:, ::-1]).all(axis=1)
print(f"{right.sum()} of {len(words)} words come out right")
assert right.all()

# %% [markdown]
# ## The list
#
# A model is a list of nodes (chapter 1). This one has nineteen nodes, and nine arrays that training found.

# %%
model = onnx.load(MODEL)
for node in model.graph.node:
    print(f"{node.op_type:18} {', '.join(node.input):26} -> {node.output[0]}")

weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
learnt = {name: w for name, w in weights.items() if name not in ("zero", "zeros", "mask", "scale")}
print("\nlearnt:", ", ".join(f"{name} {list(w.shape)}" for name, w in learnt.items()))
print("numbers that training found:", sum(w.size for w in learnt.values()))
assert len(model.graph.node) == 19
assert len(learnt) == 9

# %% [markdown]
# We walk down the list with the left panel and keep every value on the way. From here on, `value["q"]` is what the
# node that makes `q` gave for our word.

# %%
reading = tokens_of(text[:16])  # all but the last letter: nothing comes after it
value = {"tokens": reading, **weights}
for node in model.graph.node:
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    inputs = [value[name] for name in node.input]
    (value[node.output[0]],) = run_operator(node.op_type, inputs, attributes, opset=23)

engine_scores, engine_attention = session.run(None, {"tokens": reading})
assert compare(value["scores"], engine_scores).equal
assert compare(value["attention"], engine_attention).equal

# %% [markdown]
# ## From letters to rows of numbers
#
# A network can only multiply and add, so a letter must become numbers. `letter` is a table with a row of 32 for
# each letter; *Gather* looks the rows up. Training chose them.
#
# But where a letter stands matters too: here it is all that matters. So there is a second table, `position`, with a
# row for each place, and *Add* puts the two together. After that, row 3 of `x` says "an e, in the fourth place".

# %%
print("tokens", value["tokens"].shape, "-> letters", value["letters"].shape, "-> x", value["x"].shape)
e_there = weights["letter"][LETTERS.index("e")] + weights["position"][3]
assert compare(value["x"][0, 3], e_there).equal

# %% [markdown]
# *LayerNormalization* then brings each row to a mean of zero and a variance of one (chapter 8), so that what
# follows sees numbers of one size whatever the letter.
#
# ## Ask, answer, deliver
#
# Now each of the sixteen rows is multiplied by three matrices. That makes three new rows of each:
#
# - a *query* `q`: what am I looking for?
# - a *key* `k`: what am I, for those who look?
# - a *value* `v`: what do I hand over if I am found?
#
# The words are ours. The network has only the matrices, and what it does with them: a query and a key are compared
# by their dot product, which is large where the two rows point the same way (chapter 5). All pairs at once are one
# product of matrices, of `q` and of `k` lying on its side.

# %%
by_hand = sum(float(q) * float(k) for q, k in zip(value["q"][0, 15], value["k"][0, 0], strict=True))
print(f"the query of place 15 meets the key of place 0: {by_hand:.3f}")
print(f"                          and that of place 1: {value['products'][0, 15, 1]:.3f}")
assert abs(by_hand - value["products"][0, 15, 0]) < 1e-4
assert value["products"].shape == (1, 16, 16)

# %% [markdown]
# The products are divided by the square root of 32, the length of the rows. A sum of 32 products is about that much
# larger than one of them, and the next step likes numbers of moderate size.

# %%
assert weights["scale"] == np.float32(1 / np.sqrt(32))

# %% [markdown]
# ## Do not look ahead
#
# While it was trained, the model saw whole sequences: `stressed|desserts`, every place guessing the next letter,
# all at once. That is quick, and would teach it nothing if a place could simply look at the letter it is to guess.
# So a *mask* is added: zero for what came before, minus infinity for what comes after. Here is its corner.

# %%
print(weights["mask"][:5, :5])
masked = value["masked"][0]
assert np.isneginf(masked[np.triu_indices(16, 1)]).all()
assert np.isfinite(masked[np.tril_indices(16)]).all()

# %% [markdown]
# ## Shares that sum to one
#
# *Softmax* turns each row of scores into shares: positive, summing to one, the greatest score taking most. The
# exponential of minus infinity is zero, exactly, so the future gets no share at all. The result is the *attention*:
# row by row, how much each place takes from which others.

# %%
attention = value["attention"][0]
assert np.allclose(attention.sum(axis=1), 1, atol=1e-6)
assert (attention[np.triu_indices(16, 1)] == 0).all()

figure, axes = plt.subplots(figsize=(6.4, 5.4))
image = axes.imshow(attention, cmap="Oranges", vmin=0, vmax=1)
axes.set_xticks(range(16), text[:16])
axes.set_yticks(range(16), text[:16])
axes.xaxis.tick_top()
axes.set_xlabel("looks at")
axes.xaxis.set_label_position("top")
axes.set_ylabel("the place of this letter")
axes.axhline(7.5, color="grey", linewidth=0.8)
figure.colorbar(image, label="share", shrink=0.8)
plt.show()

# %% [markdown]
# Read the lower half, below the line, row by row. The mark `|` looks at the last letter of the word, and what comes
# next is that letter. The next row looks at the one before it, and so on down to the first. Nobody wrote this rule:
# it is in the matrices because it made the guesses right.
#
# The upper half is noise. There the next letter is random, no guess could be good, and training did not care.

# %%
for place in range(8, 16):
    looked_at = attention[place].argmax()
    print(
        f"{text[:place]:>15}[{text[place]}]  takes {attention[place].max():.2%} from '{text[looked_at]}', {looked_at}"
    )
    assert looked_at == 15 - place
    assert attention[place].max() > 0.95

# %% [markdown]
# ## What is handed over
#
# The shares weigh the values: `mixed` is attention times `v`. Where a row gives nearly all of its share to one
# place, that is nearly a copy of that place's value. *MatMul* by `out` brings it back into the language of `x`,
# *Add* adds it to the row that asked, and *MatMul* by `score` asks of the sum: how much does it look like each
# letter?

# %%
assert np.abs(value["mixed"][0, 15] - value["v"][0, 0]).max() < 0.1 * np.abs(value["v"][0, 0]).max()
scores = value["scores"][0, 15]
best = np.argsort(scores)[::-1][:3]
print("after the last row:", ", ".join(f"{LETTERS[i]} {scores[i]:.1f}" for i in best))
assert LETTERS[best[0]] == "s"

# %% [markdown]
# Follow a letter along that way alone: a row of `letter`, normalized, through `value`, `out` and `score`. It tells
# what a letter that is looked at does to the scores of all letters. Were the model a perfect copier, the picture
# would be a diagonal.

# %%
rows = weights["letter"][:26]
rows = (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)
effect = (rows * weights["gain"] + weights["bias"]) @ weights["value"] @ weights["out"] @ weights["score"][:, :26]

figure, axes = plt.subplots(figsize=(5.6, 4.8))
limit = np.abs(effect).max()
image = axes.imshow(effect, cmap="PuOr_r", vmin=-limit, vmax=limit)
axes.set_xticks(range(26), LETTERS[:26])
axes.set_yticks(range(26), LETTERS[:26])
axes.set_xlabel("score of this letter")
axes.set_ylabel("when this letter is looked at")
figure.colorbar(image, shrink=0.8)
plt.show()
assert (effect.argmax(axis=1) == np.arange(26)).all()

# %% [markdown]
# So the model has two halves that know nothing of each other. Queries and keys decide *where* to look, by position.
# Values and scores decide *what* to say about it, by letter.
#
# ## Is that really how it works?
#
# A picture of attention is a good story, and stories may be wrong. So test it. If the shares do the work, then
# replacing them by ours should give the same words, and replacing them by equal shares should ruin everything.


# %%
def words_right(shares: np.ndarray) -> float:
    """Share of a hundred words that come out right if the places after the mark attend as `shares`, [8, 16], says."""
    batch = np.concatenate([words, np.full((500, 1), 26), words[:, ::-1]], axis=1)[:100]
    known = {"tokens": batch[:, :-1], **weights}
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        inputs = [known[name] for name in node.input]
        (known[node.output[0]],) = run_operator(node.op_type, inputs, attributes, opset=23)
        if node.output[0] == "attention":
            known["attention"] = known["attention"].copy()
            known["attention"][:, 8:] = shares
    said = known["scores"][:, 8:].argmax(axis=2)
    return float((said == batch[:, 9:]).all(axis=1).mean())


backwards = np.fliplr(np.eye(8, 16, k=8, dtype=np.float32))  # row i: all of it to place 7 - i
forwards = np.eye(8, 16, dtype=np.float32)
equal = np.tri(16, dtype=np.float32)[8:] / np.arange(9, 17, dtype=np.float32)[:, None]
assert backwards[0, 7] == backwards[7, 0] == 1
looks = {"strictly backwards": backwards, "at all alike": equal, "forwards": forwards}
result = {name: words_right(shares) for name, shares in looks.items()}
for name, share in result.items():
    print(f"looking {name:20} {share:.0%} of the words come out backwards")
assert list(result.values()) == [1, 0, 0]

# %% [markdown]
# ... and what does it write when it looks forwards? It copies. We turned a machine that reverses words into one
# that repeats them, by changing where it looks, and did not touch what it learnt about letters.

# %%
copied = attention.copy()
copied[8:] = forwards
mixed = copied @ value["v"][0]
said = ((value["x"][0] + mixed @ weights["out"]) @ weights["score"])[8:].argmax(axis=1)
print("".join(LETTERS[i] for i in said))
assert "".join(LETTERS[i] for i in said) == "stressed"

# %% [markdown]
# ## The past does not move
#
# Since the future has shares of zero, changing it changes nothing before it. In most engines that holds
# approximately: another length may be cut into other blocks and summed in another order. Here it holds to the bit,
# for another future and for none at all, since `docs/numerics.md` makes the order depend on nothing but the sum
# itself, and a term of zero changes no sum.

# %%
whole, _ = session.run(None, {"tokens": tokens_of("stressed|dessert")})
other, _ = session.run(None, {"tokens": tokens_of("stressed|zzzzzzz")})
short, _ = session.run(None, {"tokens": tokens_of("stressed|")})
assert compare(whole[:, :9], other[:, :9]).equal
assert compare(whole[:, :9], short).equal
print("the first nine rows of scores are the same bits, whatever follows")

# %% [markdown]
# That is why large models need not start over for each letter they write. They keep the keys and values of the past
# (the *KV cache*) and compute one new row. Nothing in the old rows would have come out otherwise.
#
# ## One node instead of eight
#
# Every language model has this pattern, dozens of times over. ONNX gave it a name: from opset 23 on, the operator
# *Attention* takes `q`, `k` and `v` and does the rest. It expects an axis of *heads*, since models run several
# attentions side by side; ours has one.

# %%
outputs = [node.output[0] for node in model.graph.node]
replaced = outputs[outputs.index("k_turned") : outputs.index("mixed") + 1]
print("instead of the nodes that make", ", ".join(replaced))
assert len(replaced) == 8

q, k, v = (value[name][:, None] for name in "qkv")
(left,) = run_operator("Attention", [q, k, v], {"is_causal": 1}, opset=23)
(right,) = diptych.run_operator("Attention", [q, k, v], {"is_causal": 1}, opset=23)
assert compare(left, right).equal

differing = int((left[:, 0] != value["mixed"]).sum())
worst = float(np.abs(left[:, 0] - value["mixed"]).max())
print(f"{differing} of {left.size} numbers differ from those of the eight nodes, by {worst:.1e} at most")
assert worst < 1e-5

# %% [markdown]
# The panels agree with each other to the bit, and differ from the eight nodes in the last digits. Both are right.
# The operator's definition scales `q` and `k` *before* they are multiplied, by the root of the scale, and we scaled
# their product; each rounds at another place (chapter 4). An engine that replaced the one by the other, unasked,
# would change bits. This one does not, and the next chapter is about what it may change, and how one proves that
# nothing moved.

# %%
reference = ReferenceSession(MODEL).run(None, {"tokens": reading})
assert all(compare(a, b).equal for a, b in zip(reference, session.run(None, {"tokens": reading}), strict=True))
print("both panels, all outputs: equal to the last bit")
