"""What a person gets to see: figures, tables, annotated frames and report pages.

wording.py          numbers and times as text
lettering.py        text on images, and how wide text is
style.py            colours, sizes, the common layout of figures, saving them
figures.py          confusion matrix, training curves and, with timeline_figure.py, the emotion timeline
timeline.py         a face's windows as stretches and runs; the CSV of a prediction
grid.py             an evaluation as rows of text
tables.py           tables for the terminal, Markdown and LaTeX
annotate.py         boxes and probabilities on video frames
evaluation.py       the folder of `dfer eval --report`
demo.py             the report of `dfer demo`; page.py lays it out, contact_sheet.py joins its images
"""
